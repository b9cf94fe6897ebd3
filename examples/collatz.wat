;; collatz.wat: how long numbers take to reach 1 when halved if even, else tripled plus one.
;;
;;   steps(n: i64) -> i32                 for one number; n >= 1
;;   longest(limit: i64) -> i64, i32      which n < limit takes longest, and how long: two results
;;
;; SPDX-License-Identifier: Apache-2.0
(module
  (func $steps (export "steps") (param $n i64) (result i32)
    (local $count i32)
    (if (i64.le_s (local.get $n) (i64.const 0)) (then unreachable))
    (block $done
      (loop $next
        (br_if $done (i64.eq (local.get $n) (i64.const 1)))
        (local.set $n
          (if (result i64) (i64.eqz (i64.and (local.get $n) (i64.const 1)))
            (then (i64.shr_u (local.get $n) (i64.const 1)))
            (else (i64.add (i64.mul (local.get $n) (i64.const 3)) (i64.const 1)))))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $next)))
    (local.get $count))

  (func (export "longest") (param $limit i64) (result i64 i32)
    (local $n i64) (local $best i64) (local $count i32) (local $best_count i32)
    (local.set $n (i64.const 1))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (local.get $n) (local.get $limit)))
        (local.set $count (call $steps (local.get $n)))
        (if (i32.gt_s (local.get $count) (local.get $best_count))
          (then
            (local.set $best (local.get $n))
            (local.set $best_count (local.get $count))))
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br $next)))
    (local.get $best) (local.get $best_count)))
