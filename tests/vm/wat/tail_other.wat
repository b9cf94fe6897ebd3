;; The other side of tail.wat: it calls back through a table of its own, into which "ping" is put.
(module
  (type $count (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (table $table (export "table") 1 funcref)
  (func $pong (export "pong") (type $count) (local i64 i64 i64)
    (i32.store8 (i32.const 100) (i32.add (i32.load8_u (i32.const 100)) (i32.const 1)))
    (if (i32.eqz (local.get 0)) (then (return (i32.load8_u (i32.const 100)))))
    (return_call_indirect $table (type $count) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
  (func (export "finish") (param i32 i32) (result i32)
    (i32.add (i32.load8_u (i32.const 100)) (i32.sub (local.get 0) (local.get 1)))))
