;; What moves many values costs more: 1 for each 64 full of declared locals at entry, 1 for each 16 full of the values that a branch or
;; return brings or that a call passes, parameters and results together.
;;> call locals63 = 0
;;> call locals64 = 1
;;> call locals_mixed = 2
;;> call params 1 2 3 = 1
;;> call take15 = 16
;;> call take16 = 18
;;> call take32 = 35
;;> call give16 = 36
;;> call both = 42
;;> call indirect = 19
;;> call br15 = 31
;;> call br16 = 34
;;> call br_if16 1 = 35
;;> call br_if16 0 = 35
;;> call br_table16 0 = 35
;;> call br_table16 5 = 35
;;> call loop16 3 = 146
;;> call end16 = 32
(module
  (func (export "locals63") (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32))
  (func (export "locals64") (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32))
  (func (export "locals_mixed") (local i64 f32 f64 funcref externref) (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (local i64))
  (func (export "params") (param i32 i32 i32) (local i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
  (func $take15 (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))
  (func (export "take15") (call $take15 (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)))
  (type $sixteen (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (func $take16 (type $sixteen))
  (func (export "take16") (call $take16 (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1)))
  (func $take32 (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
    i32 i32 i32 i32 i32))
  (func (export "take32") (call $take32 (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)))
  (func $give16 (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (return (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)))
  (func (export "give16") (call $give16) drop drop drop drop drop drop drop drop drop drop drop drop drop drop drop drop)
  (func $both (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1))
  (func (export "both") (call $both (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const
    1) (i32.const 1)) drop drop drop drop drop drop drop drop (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)) (drop
    (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)))
  (table 1 funcref)
  (elem (i32.const 0) func $take16)
  (func (export "indirect") (call_indirect (type $sixteen) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 0)))
  (func (export "br15") (block (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (br 0)) drop drop drop drop drop drop drop drop drop drop drop drop drop
    drop drop)
  (func (export "br16") (block (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (br 0)) drop drop drop drop drop drop drop drop drop drop
    drop drop drop drop drop drop)
  (func (export "br_if16") (param i32) (block (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (br_if 0 (local.get 0))) drop drop drop drop
    drop drop drop drop drop drop drop drop drop drop drop drop nop)
  (func (export "br_table16") (param i32) (block (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (block
    (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (br_table 0 1 0 (local.get 0)))) drop drop drop drop drop drop drop drop drop drop drop
    drop drop drop drop drop)
  (func (export "loop16") (param i32) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const
    1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (loop (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) drop drop drop drop drop drop drop drop drop drop
    drop drop drop drop drop drop (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))) drop drop drop drop drop drop drop drop drop drop drop drop drop
    drop drop drop))
  (func (export "end16") (block (result i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)) drop drop drop drop drop drop drop drop drop drop drop drop
    drop drop drop drop))
