;; Two memories, of which the one with 64-bit addresses is exported.
(module
  (memory 1)
  (memory (export "memory") i64 1 9)
  (func (export "grow") (param i64) (result i64) (memory.grow 1 (local.get 0)))
  (func (export "count") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (return_call 1 (i32.sub (local.get 0) (i32.const 1))))
      (else (i32.const 42)))))
