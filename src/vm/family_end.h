/* family_end.h: takes back what family_begin.h defined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#undef LAYOUT
#undef PAIRS_COMMUTES
#undef PAIRS_ORDERED
#undef BINARY_ROW
#undef BINARY
#undef DIVISION_ROW
#undef DIVISION
#undef COMPARE_ROW
#undef BRANCH_ROW
#undef COMPARE
#undef COMPARE_FLOAT
#undef UNARY_ROW
#undef UNARY
#undef TEST_ROW
#undef TEST
#undef TRUNCATION_ROW
#undef TRUNCATION
#undef ADDRESSES
#undef LOAD_ROW
#undef LOAD
#undef STORE_ROW
#undef STORE
