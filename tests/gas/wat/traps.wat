;; The instruction that traps counts as executed; nothing after it does.
;;> call divide 4 = 9
;;> call divide 0 = 6
;;> call load 65532 = 2
;;> call load 65533 = 2
;;> call stop 1 = 3
;;> call stop 0 = 2
;;> call indirect 0 = 3
;;> call indirect 1 = 2
;;> call indirect 2 = 2
;;> call indirect 3 = 2
;;> call truncate 2139095040 = 2
;;> call truncate 1065353216 = 3
;;> call deep 3 = 23
;;> call get 9 = 2
;;> call late = 7
(module
  (memory (export "memory") 1)
  (table 3 funcref)
  (elem (i32.const 0) func $one $param)
  (type $nothing (func))
  (func $one (nop) (nop) (block (br 0)))
  (func $param (param i32))
  (func (export "divide") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.const 1))
    (i32.div_u (i32.const 8) (local.get 0))
    (i32.store (i32.const 4) (i32.const 1)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "stop") (param i32) (if (local.get 0) (then (unreachable))) (nop))
  (func (export "indirect") (param i32) (call_indirect (type $nothing) (local.get 0)))
  (func (export "truncate") (param f32) (drop (i32.trunc_f32_u (local.get 0))))
  (func $deep (export "deep") (param i32) ;; get if get const sub call each, and at last get if unreachable
    (if (local.get 0)
      (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
      (else (drop (i32.const 0)) (unreachable))) (drop (i32.const 1)))
  (func (export "get") (param i32) (drop (table.get 0 (local.get 0))))
  (func (export "late") ;; a value waits in a register while something else traps
    (i32.store (i32.const 0) (i32.add (i32.mul (i32.const 3) (i32.const 5)) (i32.rem_s (i32.const 4) (i32.const 0))))
    (drop (i32.const 1))))
