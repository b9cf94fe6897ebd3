;; Memory: growing past the limit, a buffer that comes in, and one that goes out.
(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "alloc") (param i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func (export "sum") (param i32 i32) (result i32)
    (local i32)
    (block
      (loop
        (br_if 1 (i32.eqz (local.get 1)))
        (local.set 2 (i32.add (local.get 2) (i32.load8_u (local.get 0))))
        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
        (br 0)))
    (local.get 2))
  (func (export "echo") (param i32 i32) (result i32 i32)
    (local.get 0) (local.get 1)))
