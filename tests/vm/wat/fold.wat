;; One function for each thing that translation folds or fuses; test_translate.c looks at the code.
(module
  (memory 1)
  (global $g (mut i64) (i64.const 0))
  (func (param i32 i32) (local i32)              ;; 0: locals are operands, the result goes to a local
    (local.set 2 (i32.add (local.get 0) (local.get 1))))
  (func (param i32) (result i32)                 ;; 1: the constant moves right, the chain stays in r0
    (i32.xor (i32.add (i32.const 5) (local.get 0)) (local.get 0)))
  (func (param i32)                              ;; 2: comparison and branch
    (loop (br_if 0 (i32.lt_s (local.get 0) (i32.const 10)))))
  (func (param i32)                              ;; 3: the contrary of a comparison
    (block (br_if 0 (i32.eqz (i32.lt_s (local.get 0) (i32.const 10))))))
  (func (param f64)                              ;; 4: a float comparison has no contrary comparison
    (if (f64.lt (local.get 0) (f64.const 1)) (then (global.set $g (i64.const 1)))))
  (func (param i32 i32) (result i32)             ;; 5: a sum as address
    (i32.load offset=4 (i32.add (local.get 0) (local.get 1))))
  (func (param i32)                              ;; 6: a sum with a constant, an immediate value
    (i32.store (i32.add (local.get 0) (i32.const -4)) (i32.const 7)))
  (func (result i64)                             ;; 7: a constant address
    (i64.load32_u offset=8 (i32.const 16)))
  (func (param i32) (result i64)                 ;; 8: nothing but a rename
    (i64.extend_i32_u (local.get 0)))
  (func (param i32) (result i32)                 ;; 9: the old value survives on the stack
    (local.get 0) (local.set 0 (i32.const 3)) (i32.sub (local.get 0)))
  (func (param i32) (result i32)                 ;; 10: no branch to the block: no label
    (block (result i32) (i32.add (local.get 0) (i32.const 1))) (i32.mul (local.get 0))))
