;; A tail call costs what a call costs; what returns from it costs nothing more.
;;> call count 0 = 5
;;> call count 3 = 29
;;> call table 0 = 9
;;> call table 1 = 3
;;> call table 2 = 3
;;> call many = 18
;;> call even 5 = 40
(module
  (type $unary (func (param i32) (result i32)))
  (type $sixteen (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (table 2 funcref)
  (elem (i32.const 0) func $id)
  (func $id (param i32) (result i32) (drop (local.get 0)) (nop) (drop (local.get 0)) (local.get 0) (return))
  (func $count (export "count") (param i32) (result i32) ;; each time round get if get drop get const sub call, at last get if const const br
    (if (local.get 0)
      (then (drop (local.get 0)) (return_call $count (i32.sub (local.get 0) (i32.const 1)))))
    (i32.const 7) (br 0 (i32.const 8)))
  (func (export "table") (param i32) (result i32) (return_call_indirect (type $unary) (i32.const 1) (local.get 0)))
  (func $sixteen (type $sixteen))
  (func (export "many") (return_call $sixteen (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)
    (i32.const 1)))
  (func $even (export "even") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
    (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
  (func $odd (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (return_call $even (i32.sub (local.get 0) (i32.const 1)))))
