;; Vectors: 1 for each instruction; where locals and values are counted, a v128 counts as two.
;;> call ops = 8
;;> call locals31 = 0
;;> call locals32 = 1
;;> call mixed = 1
;;> call take7 = 8
;;> call take8 = 10
;;> call take_mixed = 17
;;> call br7 = 15
;;> call br8 = 18
;;> call load 65520 = 3
;;> call load 65521 = 2
;;> call lane 65535 = 4
;;> call lane 65536 = 3
(module
  (memory (export "memory") 1)
  (func (export "ops") (result i32) (local v128) (local.set 0 (i32x4.add (v128.const i64x2 1 2) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9
    10 11 12 13 14 15 (local.get 0) (local.get 0)))) (i32x4.all_true (local.get 0)))
  (func (export "locals31") (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128
    v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128))
  (func (export "locals32") (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128
    v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128))
  (func (export "mixed") (local v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128 v128) (local i32) (local
    i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64))
  (func $take7 (param v128 v128 v128 v128 v128 v128 v128))
  (func (export "take7") (call $take7 (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2)
    (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2)))
  (func $take8 (param v128 v128 v128 v128 v128 v128 v128 v128))
  (func (export "take8") (call $take8 (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2)
    (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2)))
  (func $take_mixed (param v128 v128 v128 v128 i32) (result v128 v128 v128 i32) (v128.const i64x2 1 2) (v128.const i64x2 1 2)
    (v128.const i64x2 1 2) (i32.const 1))
  (func (export "take_mixed") (call $take_mixed (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const
    i64x2 1 2) (i32.const 1)) drop drop drop drop (nop) (drop (i32.const 1)))
  (func (export "br7") (block (result v128 v128 v128 v128 v128 v128 v128) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const
    i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (br 0)) drop drop drop drop
    drop drop drop)
  (func (export "br8") (block (result v128 v128 v128 v128 v128 v128 v128 v128) (v128.const i64x2 1 2) (v128.const i64x2 1 2)
    (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const i64x2 1 2) (v128.const
    i64x2 1 2) (br 0)) drop drop drop drop drop drop drop drop)
  (func (export "load") (param i32) (drop (v128.load (local.get 0))))
  (func (export "lane") (param i32) (drop (v128.load8_lane 3 (local.get 0) (v128.const i64x2 1 2)))))
