/* shapes.h: which combinations of operand kinds have handlers.
 *
 * A shape is a list of combinations; a family's handlers are numbered in its order, and code.c
 * makes of the same list the table in which the translator looks a combination up. What is not
 * listed has no handler. How far a shape knows pinned locals is its second name: NONE, P (one pin,
 * for floats), PQ (two, for integers). Without pins (VM_PINS 0) all three are the same.
 *
 * The kinds: R transient register, S slot, I immediate, P and Q pinned locals. There is one
 * transient register of each class, so R occurs at most once for operands of one class. Where
 * operands may change places they are in the order R P Q S I. The first of each list is R or R S
 * (but of vectors), which a family's first handler is named after.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_SHAPES_H
#define VM_SHAPES_H

/* clang-format off */

/* Destinations, and the operand of unary instructions. */
#define KINDS_NONE(ROW, ...) ROW(__VA_ARGS__, R) ROW(__VA_ARGS__, S)
#if VM_PINS
#define KINDS_P(ROW, ...) KINDS_NONE(ROW, __VA_ARGS__) ROW(__VA_ARGS__, P)
#define KINDS_PQ(ROW, ...) KINDS_P(ROW, __VA_ARGS__) ROW(__VA_ARGS__, Q)
#else
#define KINDS_P(ROW, ...) KINDS_NONE(ROW, __VA_ARGS__)
#define KINDS_PQ(ROW, ...) KINDS_NONE(ROW, __VA_ARGS__)
#endif

/* The same once more: a macro does not expand inside itself. */
#define KINDS_NONE_AGAIN(ROW, ...) ROW(__VA_ARGS__, R) ROW(__VA_ARGS__, S)
#if VM_PINS
#define KINDS_P_AGAIN(ROW, ...) KINDS_NONE_AGAIN(ROW, __VA_ARGS__) ROW(__VA_ARGS__, P)
#define KINDS_PQ_AGAIN(ROW, ...) KINDS_P_AGAIN(ROW, __VA_ARGS__) ROW(__VA_ARGS__, Q)
#else
#define KINDS_P_AGAIN(ROW, ...) KINDS_NONE_AGAIN(ROW, __VA_ARGS__)
#define KINDS_PQ_AGAIN(ROW, ...) KINDS_NONE_AGAIN(ROW, __VA_ARGS__)
#endif

/* What is stored. */
#define VALUES_NONE(ROW, ...) KINDS_NONE(ROW, __VA_ARGS__) ROW(__VA_ARGS__, I)
#define VALUES_P(ROW, ...) KINDS_P(ROW, __VA_ARGS__) ROW(__VA_ARGS__, I)
#define VALUES_PQ(ROW, ...) KINDS_PQ(ROW, __VA_ARGS__) ROW(__VA_ARGS__, I)

/* Vectors, as destinations, single operands and pairs. Without pins they only live in slots: each
 * handler counts where all are one function. */
#if VM_PINS
#define KINDS_V(ROW, ...) ROW(__VA_ARGS__, R) ROW(__VA_ARGS__, S)
#define KINDS_V_AGAIN(ROW, ...) ROW(__VA_ARGS__, R) ROW(__VA_ARGS__, S)
#define PAIRS_COMMUTES_V(ROW, ...) ROW(__VA_ARGS__, R, S) ROW(__VA_ARGS__, S, S)
#define PAIRS_ORDERED_V(ROW, ...) PAIRS_COMMUTES_V(ROW, __VA_ARGS__) ROW(__VA_ARGS__, S, R)
#define TRIPLES_V(ROW, ...) \
    ROW(__VA_ARGS__, R, S, S) ROW(__VA_ARGS__, S, S, S) ROW(__VA_ARGS__, S, R, S) ROW(__VA_ARGS__, S, S, R)
#else
#define KINDS_V(ROW, ...) ROW(__VA_ARGS__, S)
#define KINDS_V_AGAIN(ROW, ...) ROW(__VA_ARGS__, S)
#define PAIRS_COMMUTES_V(ROW, ...) ROW(__VA_ARGS__, S, S)
#define PAIRS_ORDERED_V(ROW, ...) ROW(__VA_ARGS__, S, S)
#define TRIPLES_V(ROW, ...) ROW(__VA_ARGS__, S, S, S)
#endif

/* A vector and an i32 that may be a constant; a vector and a scalar, which is in the other register
 * or in the same. */
#if VM_PINS
#define PAIRS_ORDERED_SHIFT(ROW, ...) \
    ROW(__VA_ARGS__, R, R) ROW(__VA_ARGS__, R, S) ROW(__VA_ARGS__, R, I) \
    ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, S, S) ROW(__VA_ARGS__, S, I)
#define PAIRS_ORDERED_REPLACE(ROW, ...) \
    ROW(__VA_ARGS__, R, R) ROW(__VA_ARGS__, R, S) ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, S, S)
#else
#define PAIRS_ORDERED_SHIFT(ROW, ...) ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, S, S) ROW(__VA_ARGS__, S, I)
#define PAIRS_ORDERED_REPLACE(ROW, ...) ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, S, S)
#endif

/* Pairs of operands. */
#define PAIRS_COMMUTES_NONE(ROW, ...) \
    ROW(__VA_ARGS__, R, S) ROW(__VA_ARGS__, S, S) ROW(__VA_ARGS__, R, I) ROW(__VA_ARGS__, S, I)
#define PAIRS_ORDERED_NONE(ROW, ...) \
    PAIRS_COMMUTES_NONE(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, I, R) ROW(__VA_ARGS__, I, S)
#if VM_PINS
#define PAIRS_COMMUTES_P(ROW, ...) \
    PAIRS_COMMUTES_NONE(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, R, P) ROW(__VA_ARGS__, P, S) ROW(__VA_ARGS__, P, P) ROW(__VA_ARGS__, P, I)
#define PAIRS_COMMUTES_PQ(ROW, ...) \
    PAIRS_COMMUTES_P(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, R, Q) ROW(__VA_ARGS__, Q, S) ROW(__VA_ARGS__, Q, Q) ROW(__VA_ARGS__, Q, I) \
    ROW(__VA_ARGS__, P, Q)
#define PAIRS_ORDERED_P(ROW, ...) \
    PAIRS_COMMUTES_P(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, I, R) ROW(__VA_ARGS__, I, S) \
    ROW(__VA_ARGS__, P, R) ROW(__VA_ARGS__, S, P) ROW(__VA_ARGS__, I, P)
#define PAIRS_ORDERED_PQ(ROW, ...) \
    PAIRS_COMMUTES_PQ(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, S, R) ROW(__VA_ARGS__, I, R) ROW(__VA_ARGS__, I, S) \
    ROW(__VA_ARGS__, P, R) ROW(__VA_ARGS__, S, P) ROW(__VA_ARGS__, I, P) \
    ROW(__VA_ARGS__, Q, R) ROW(__VA_ARGS__, S, Q) ROW(__VA_ARGS__, I, Q) ROW(__VA_ARGS__, Q, P)
#else
#define PAIRS_COMMUTES_P(ROW, ...) PAIRS_COMMUTES_NONE(ROW, __VA_ARGS__)
#define PAIRS_COMMUTES_PQ(ROW, ...) PAIRS_COMMUTES_NONE(ROW, __VA_ARGS__)
#define PAIRS_ORDERED_P(ROW, ...) PAIRS_ORDERED_NONE(ROW, __VA_ARGS__)
#define PAIRS_ORDERED_PQ(ROW, ...) PAIRS_ORDERED_NONE(ROW, __VA_ARGS__)
#endif

/* Addresses: a base alone (its index is N), the 32-bit sum of two, or (after L) with the index
 * shifted left. ADDRESS_KINDS names them all: name, base, index, shifted. */
#define ADDRESS_KINDS(ROW) \
    ROW(R, R, N, 0) ROW(S, S, N, 0) ROW(I, I, N, 0) ROW(P, P, N, 0) ROW(Q, Q, N, 0) \
    ROW(RS, R, S, 0) ROW(RI, R, I, 0) ROW(SS, S, S, 0) ROW(SI, S, I, 0) \
    ROW(RP, R, P, 0) ROW(RQ, R, Q, 0) ROW(PS, P, S, 0) ROW(QS, Q, S, 0) ROW(PQ, P, Q, 0) ROW(PI, P, I, 0) ROW(QI, Q, I, 0) \
    ROW(SLR, S, R, 1) ROW(SLS, S, S, 1) ROW(SLP, S, P, 1) ROW(SLQ, S, Q, 1) ROW(PLR, P, R, 1) ROW(PLS, P, S, 1) \
    ROW(PLQ, P, Q, 1) ROW(QLR, Q, R, 1) ROW(QLS, Q, S, 1) ROW(QLP, Q, P, 1) ROW(ILR, I, R, 1) ROW(ILS, I, S, 1) \
    ROW(ILP, I, P, 1) ROW(ILQ, I, Q, 1)
#define ADDRESSES_NONE(ROW, ...) \
    ROW(__VA_ARGS__, R) ROW(__VA_ARGS__, S) ROW(__VA_ARGS__, I) \
    ROW(__VA_ARGS__, RS) ROW(__VA_ARGS__, RI) ROW(__VA_ARGS__, SS) ROW(__VA_ARGS__, SI)
#if VM_PINS
#define ADDRESSES_PQ(ROW, ...) \
    ADDRESSES_NONE(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, P) ROW(__VA_ARGS__, Q) ROW(__VA_ARGS__, RP) ROW(__VA_ARGS__, RQ) \
    ROW(__VA_ARGS__, PS) ROW(__VA_ARGS__, QS) ROW(__VA_ARGS__, PQ) ROW(__VA_ARGS__, PI) ROW(__VA_ARGS__, QI)
#define ADDRESSES_SCALED(ROW, ...) \
    ADDRESSES_PQ(ROW, __VA_ARGS__) \
    ROW(__VA_ARGS__, SLR) ROW(__VA_ARGS__, SLS) ROW(__VA_ARGS__, SLP) ROW(__VA_ARGS__, SLQ) \
    ROW(__VA_ARGS__, PLR) ROW(__VA_ARGS__, PLS) ROW(__VA_ARGS__, PLQ) \
    ROW(__VA_ARGS__, QLR) ROW(__VA_ARGS__, QLS) ROW(__VA_ARGS__, QLP) \
    ROW(__VA_ARGS__, ILR) ROW(__VA_ARGS__, ILS) ROW(__VA_ARGS__, ILP) ROW(__VA_ARGS__, ILQ)
#else
#define ADDRESSES_PQ(ROW, ...) ADDRESSES_NONE(ROW, __VA_ARGS__)
#define ADDRESSES_SCALED(ROW, ...) ADDRESSES_NONE(ROW, __VA_ARGS__)
#endif
/* clang-format on */

#endif
