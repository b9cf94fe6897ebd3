;; An instance that remembers: calls on one instance see each other.
(module
  (global $count (mut i32) (i32.const 0))
  (func (export "add") (param i32) (result i32)
    (global.set $count (i32.add (global.get $count) (local.get 0)))
    (global.get $count))
  (func (export "wide") (result i64) (i64.const 7)))
