;; 1 for each instruction executed; block, loop, else, end and nop are free; what is jumped over costs nothing.
;;> call nothing = 0
;;> call free = 0
;;> call three = 3
;;> call early = 2
;;> call choose 1 = 3
;;> call choose 0 = 5
;;> call round 1 = 5
;;> call round 10 = 50
;;> call skip = 1
;;> call nested 3 4 = 82
;;> call twice 5 = 13
;;> call table 0 = 4
;;> call table 1 = 2
;;> call table 7 = 2
;;> call fib 6 = 221
(module
  (func (export "nothing"))
  (func (export "free") nop (block (nop)) (loop) (loop (block)))
  (func (export "three") (result i32) (i32.add (i32.const 1) (i32.const 2)))
  (func (export "early") (result i32) (return (i32.const 1)) (i32.const 4) (drop))
  (func (export "choose") (param i32) (result i32) ;; get if const, or get if const const add
    (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.add (i32.const 1) (i32.const 1)))))
  (func (export "round") (param i32) ;; get const sub tee br_if
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "skip") (block (br 0) (drop (i32.const 1)) (unreachable)))
  (func (export "nested") (param i32 i32) (local i32) ;; outer 2 + 5, inner 5 each: 3 * (7 + 4 * 5), and the br
    (loop
      (local.set 2 (local.get 1))
      (loop (br_if 0 (local.tee 2 (i32.sub (local.get 2) (i32.const 1)))) (nop))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (br 0))
  (func $id (param i32) (result i32) (local.get 0))
  (func (export "twice") (param i32) (result i32) ;; three times get drop; get call, get in there, twice; add
    (drop (local.get 0)) (drop (local.get 0)) (drop (local.get 0))
    (i32.add (call $id (local.get 0)) (call $id (local.get 0))))
  (func (export "table") (param i32)
    (block (block (br_table 0 1 2 (local.get 0))) (drop (i32.const 1))))
  ;; of 25 calls 13 end at once with 4 + 1, and 12 take 4 + 9
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2))))))))
