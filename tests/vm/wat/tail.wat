;; Tail calls: to itself and each other, with more and fewer arguments than the caller has, through a table, out of
;; loops, to another instance and to the host (tail_other.wat, "host").
(module
  (type $count (func (param i32) (result i32)))
  (type $many (func (param i32 i64 f64 i32 f32) (result i32)))
  (import "other" "pong" (func $pong (param i32) (result i32)))
  (import "other" "finish" (func $finish (param i32 i32) (result i32)))
  (import "host" "add" (func $add (param i32 i64 f32 f64) (result f64)))
  (memory (export "memory") 1)
  (table $table (export "table") 8 funcref)
  (elem (i32.const 0) $even $odd $down $nothing $pong)

  (func $nothing)
  (func $even (export "even") (type $count)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func $odd (type $count)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (return_call_indirect $table (type $count)
        (i32.sub (local.get 0) (i32.const 1)) (i32.load8_u (i32.const 100))))))

  ;; grows and shrinks its arguments on the way: the place of the return address moves
  (func $wide (type $many) (local $a i32) (local $b i64)
    (if (i32.eqz (local.get 0)) (then (return (i32.add (local.get $a) (local.get 3)))))
    (local.set $a (i32.const 99))
    (local.set $b (i64.add (local.get 1) (i64.const 2)))
    (i64.store (i32.const 8) (local.get $b))
    (return_call $narrow (local.get 0) (i32.add (local.get 3) (i32.wrap_i64 (local.get $b)))))
  (func $narrow (param i32 i32) (result i32) (local $i i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.mul (local.get $i) (local.get 1))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5)))
      (if (i32.and (local.get 0) (i32.const 1))
        (then (return_call $wide (i32.sub (local.get 0) (i32.const 1)) (i64.extend_i32_u (local.get $sum))
          (f64.const 2.5) (i32.sub (local.get 1) (local.get $i)) (f32.const 1)))))
    (return_call $wide (i32.sub (local.get 0) (i32.const 1)) (i64.extend_i32_u (local.get $sum)) (f64.const 0.5)
      (local.get $i) (f32.const 1)))
  (func (export "moving") (type $count)
    (i32.add (i32.const 1000) (call $wide (local.get 0) (i64.const 3) (f64.const 4) (i32.const 5) (f32.const 6))))

  ;; arguments that change places
  (func $swap (param i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.sub (local.get 1) (local.get 2)))))
    (return_call $swap (i32.sub (local.get 0) (i32.const 1)) (local.get 2) (local.get 1)))
  (func (export "swapping") (type $count) (return_call $swap (local.get 0) (i32.const 50) (i32.const 8)))

  ;; to the other instance and back
  (func $ping (export "ping") (type $count)
    (if (i32.eqz (local.get 0)) (then (return_call $finish (i32.const 30) (i32.const 4))))
    (return_call $pong (i32.sub (local.get 0) (i32.const 1))))
  (func (export "over") (type $count)
    (i32.store (i32.const 16) (call $ping (local.get 0)))
    (i32.add (i32.const 1) (i32.add (i32.load (i32.const 16)) (i32.load8_u (i32.const 100)))))
  (func (export "indirect_over") (type $count)
    (return_call_indirect $table (type $count) (local.get 0) (i32.const 4)))

  ;; to the host, from a frame with locals and values under the arguments
  (func $to_host (param i32) (result f64) (local $x f64)
    (local.set $x (f64.const 7))
    (i32.const 3) (i64.const 4)
    (return_call $add (local.get 0) (i64.const 20) (f32.const 300) (f64.mul (local.get $x) (f64.const 100))))
  (func (export "host") (type $count) (i32.trunc_f64_s (call $to_host (local.get 0))))
  (func (export "host_outermost") (param i32) (result f64) (return_call $to_host (local.get 0)))

  ;; a function that keeps a long stack for its own, reached by tail calls from small ones
  (func $deep (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return_call $even (local.get 1))))
    (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))
  (func (export "deep") (type $count) (return_call $deep (local.get 0) (i32.const 2)))

  ;; counts down to a trap
  (func $down (type $count)
    (if (i32.eqz (local.get 0)) (then (return (i32.div_u (i32.const 1) (local.get 0)))))
    (return_call $down (i32.sub (local.get 0) (i32.const 1))))
  (func (export "trap") (type $count)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (return_call $down (i32.const 3))))
    (if (i32.eq (local.get 0) (i32.const 2)) (then (return_call_indirect $table (type $count) (i32.const 3) (i32.const 8))))
    (if (i32.eq (local.get 0) (i32.const 3)) (then (return_call_indirect $table (type $count) (i32.const 3) (i32.const 6))))
    (if (i32.eq (local.get 0) (i32.const 4)) (then (return_call_indirect $table (type $count) (i32.const 3) (i32.const 3))))
    (if (i32.eq (local.get 0) (i32.const 5)) (then (return_call_indirect $table (type $count) (i32.const 5) (i32.const 2))))
    (i32.const 0))

  ;; all of it; a trap of the kind that is asked for
  (func (export "run") (param $kind i32) (result i64)
    (i32.store (i32.const 200) (call $even (i32.const 7)))
    (i32.store (i32.const 204) (call $wide (i32.const 3) (i64.const 3) (f64.const 4) (i32.const 5) (f32.const 6)))
    (i32.store (i32.const 208) (call $swap (i32.const 3) (i32.const 50) (i32.const 8)))
    (i32.store (i32.const 212) (call $ping (i32.const 3)))
    (f64.store (i32.const 216) (call $to_host (i32.const 1)))
    (i32.store (i32.const 224) (call_indirect $table (type $count) (i32.const 2) (i32.const 4)))
    (if (local.get $kind) (then (drop (call $down (i32.const 2)))))
    (i64.load (i32.const 212))))
