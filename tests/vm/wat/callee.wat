;; Exports what caller.wat imports: functions that use this instance's memory and table.
(module
  (memory (export "memory") 2)
  (global $count (mut i32) (i32.const 0))
  (func (export "bump") (param i32 i64) (result i64 i32)
    (i32.store (i32.const 0) (local.get 0))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    (i64.add (local.get 1) (i64.const 1)) (global.get $count))
  (func (export "fail") (drop (i32.load (i32.const -1)))))
