;; Every bulk operation on more than a small slice moves, where pieces can go wrong: copies onto themselves
;; in both directions, tables, other memories. What tables hold goes to memory 0 at the end.
(module
  (memory (export "memory") 1 3)
  (memory $other 1)
  (memory $big i64 1)
  (table $table (export "table") 60 200 funcref)
  (table $second 40 funcref)
  (data $text "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness")
  (data (i32.const 3000) "an active segment that is longer than what a slice of one unit moves")
  (data (memory $big) (i64.const 3000) "another one, in the last memory of all")
  (elem $passive func $one $two $three $one $two $three $three $two $one $one $two $three $three $two $one $one)
  (elem (table $second) (offset (i32.const 3)) func $three $two $three $two $one $two $one $two $three $two)

  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func $three (result i32) (i32.const 3))

  ;; 0, 7, 14, … in the 200 bytes at `at`
  (func $pattern (param $at i32) (local $i i32)
    (loop $next
      (i32.store8 (i32.add (local.get $at) (local.get $i)) (i32.mul (local.get $i) (i32.const 7)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200)))))

  (func $tables (local $i i32)
    (loop $next
      (if (i32.eqz (ref.is_null (table.get $table (local.get $i))))
        (then (i32.store8 offset=5000 (local.get $i) (call_indirect $table (result i32) (local.get $i)))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (table.size $table))))
    (i32.store offset=6000 (i32.const 0) (table.size $table)))

  (func $memories (param $kind i32)
    (block $trap (block $far (block $init (block $down (block $up (block $fill
      (br_table $fill $up $down $init $far $trap (local.get $kind)))
      (memory.fill (i32.const 1001) (i32.const 77) (i32.const 1999)) (return))
      (call $pattern (i32.const 100))
      (memory.copy (i32.const 133) (i32.const 100) (i32.const 200)) (return))
      (call $pattern (i32.const 100))
      (memory.copy (i32.const 67) (i32.const 100) (i32.const 200)) (return))
      (memory.init $text (i32.const 500) (i32.const 3) (i32.const 100)) (return))
      (call $pattern (i32.const 100))
      (memory.copy $big 0 (i64.const 5) (i32.const 100) (i32.const 200))
      (memory.copy $other $big (i32.const 9) (i64.const 4) (i32.const 150))
      (memory.copy $other $other (i32.const 8) (i32.const 9) (i32.const 150))
      (memory.copy 0 $other (i32.const 700) (i32.const 0) (i32.const 180))
      (memory.copy 0 $big (i32.const 1000) (i64.const 2990) (i32.const 70)) (return))
    (memory.fill (i32.const 65000) (i32.const 1) (i32.const 537)))

  (func $elements (param $kind i32)
    (block $trap (block $grow (block $down (block $up (block $init (block $fill
      (br_table $fill $init $up $down $grow $trap (local.get $kind)))
      (table.fill $table (i32.const 2) (ref.func $two) (i32.const 41)) (br $trap))
      (table.init $table $passive (i32.const 30) (i32.const 1) (i32.const 15)) (br $trap))
      (table.init $table $passive (i32.const 10) (i32.const 0) (i32.const 16))
      (table.copy $table $table (i32.const 13) (i32.const 10) (i32.const 16)) (br $trap))
      (table.init $table $passive (i32.const 10) (i32.const 0) (i32.const 16))
      (table.copy $table $table (i32.const 7) (i32.const 10) (i32.const 16)) (br $trap))
      (table.copy $table $second (i32.const 1) (i32.const 1) (i32.const 20))
      (i32.store offset=6004 (i32.const 0) (table.grow $table (ref.func $three) (i32.const 90)))
      (i32.store offset=6008 (i32.const 0) (table.grow $table (ref.func $one) (i32.const 51)))
      (br $trap))
    (call $tables)
    (if (i32.eq (local.get $kind) (i32.const 5))
      (then (table.fill $table (i32.const 20) (ref.func $one) (i32.const 41)))))

  (func (export "run") (param $kind i32)
    (if (i32.lt_u (local.get $kind) (i32.const 10))
      (then (call $memories (local.get $kind)))
      (else (call $elements (i32.sub (local.get $kind) (i32.const 10))))))

  (func (export "fill") (param $size i32)
    (memory.fill (i32.const 0) (i32.const 165) (local.get $size)))
  (func (export "grow") (param $count i32) (result i32)
    (table.grow $table (ref.func $one) (local.get $count))))
