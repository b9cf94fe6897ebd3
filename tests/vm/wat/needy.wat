;; Three ways to need memory in the middle of something.
(module
  (memory (export "memory") 1 100)
  (table $table 1 funcref)
  (func $down (param $n i32) (result i32) (local i64 i64 i64 i64 i64 i64 i64 i64)
    (if (result i32) (i32.eqz (local.get $n))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))))
  ;; what lies on the stack and in locals while it waits must still be there afterwards
  (func (export "grow") (param $pages i32) (result i32) (local $old i32)
    (i32.store (i32.const 8) (i32.const 5))
    (i32.add
      (i32.mul (i32.load (i32.const 8)) (i32.const 1000))
      (i32.add
        (local.tee $old (memory.grow (local.get $pages)))
        (i32.mul (i32.const 100) (memory.size)))))
  (func (export "extend") (param $count i32) (result i32)
    (i32.add
      (i32.mul (local.get $count) (i32.const 2))
      (table.grow $table (ref.null func) (local.get $count))))
  (func (export "deep") (param $depth i32) (result i32)
    (i32.add (local.get $depth) (call $down (local.get $depth)))))
