;; Calls into another instance and the host, directly and through a table, with values waiting.
(module
  (import "a" "bump" (func $bump (param i32 i64) (result i64 i32)))
  (import "a" "fail" (func $fail))
  (import "host" "add" (func $add (param i32 i64 f32 f64) (result f64)))
  (type $t (func (param i32 i64) (result i64 i32)))
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 1) $bump)
  (func (export "run") (result i64) (local $n i32) (local $v i64)
    (i64.const 1000)
    (loop $next
      (call $bump (i32.const 5) (local.get $v)) (local.set $n) (local.set $v)
      (call_indirect (type $t) (i32.const 6) (local.get $v) (i32.const 1)) (local.set $n) (local.set $v)
      (i32.store (i32.const 65532) (local.get $n))
      (br_if $next (i32.lt_u (local.get $n) (i32.const 6))))
    (i64.add (local.get $v)) ;; 1000 + 6
    (i64.trunc_f64_s (call $add (i32.const 1) (i64.const 20) (f32.const 300) (f64.const 4000)))
    (i64.add))
  (func (export "fail") (call $fail)))
