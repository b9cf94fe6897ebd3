/* family_end.h: takes back what family_begin.h defined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#undef LAYOUT
#undef LAYOUT_ADDRESS
#undef FUSED
#undef BINARY_ROW
#undef BINARY_TO
#undef BINARY
#undef DIVISION_ROW
#undef DIVISION_TO
#undef DIVISION
#undef COMPARE_ROW
#undef COMPARE_TO
#undef BRANCH_ROW
#undef COMPARE
#undef COMPARE_FLOAT
#undef UNARY_ROW
#undef UNARY_TO
#undef UNARY
#undef TEST_ROW
#undef TEST
#undef TRUNCATION_ROW
#undef TRUNCATION_TO
#undef TRUNCATION
#undef LOAD_ROW
#undef LOAD_TO
#undef LOAD
#undef STORE_ROW
#undef STORE_OF
#undef STORE
