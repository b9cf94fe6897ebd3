;; primes.wat: the sieve of Eratosthenes in linear memory, one byte for each number.
;;
;;   count(limit: i32) -> i32    how many primes are <= limit
;;   nth(n: i32) -> i32          the n-th prime, by trial division; n >= 1
;;
;; SPDX-License-Identifier: Apache-2.0
(module
  (memory (export "memory") 1)

  ;; Memory for `limit` + 1 flags, or a trap.
  (func $reserve (param $limit i32)
    (local $pages i32)
    (local.set $pages
      (i32.sub (i32.add (i32.shr_u (local.get $limit) (i32.const 16)) (i32.const 1)) (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable)))))

  (func (export "count") (param $limit i32) (result i32)
    (local $number i32) (local $multiple i32) (local $found i32)
    (call $reserve (local.get $limit))
    (memory.fill (i32.const 0) (i32.const 0) (i32.add (local.get $limit) (i32.const 1)))
    (local.set $number (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.gt_u (local.get $number) (local.get $limit)))
        (if (i32.eqz (i32.load8_u (local.get $number)))
          (then
            (local.set $found (i32.add (local.get $found) (i32.const 1)))
            (local.set $multiple (i32.shl (local.get $number) (i32.const 1)))
            (block $crossed
              (loop $cross
                (br_if $crossed (i32.gt_u (local.get $multiple) (local.get $limit)))
                (i32.store8 (local.get $multiple) (i32.const 1))
                (local.set $multiple (i32.add (local.get $multiple) (local.get $number)))
                (br $cross)))))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br $next)))
    (local.get $found))

  (func $is_prime (param $number i32) (result i32)
    (local $divisor i32)
    (local.set $divisor (i32.const 2))
    (loop $next
      (if (i32.gt_u (i32.mul (local.get $divisor) (local.get $divisor)) (local.get $number))
        (then (return (i32.const 1))))
      (if (i32.eqz (i32.rem_u (local.get $number) (local.get $divisor)))
        (then (return (i32.const 0))))
      (local.set $divisor (i32.add (local.get $divisor) (i32.const 1)))
      (br $next))
    unreachable)

  (func (export "nth") (param $n i32) (result i32)
    (local $number i32)
    (local.set $number (i32.const 1))
    (loop $next
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (br_if $next (i32.eqz (call $is_prime (local.get $number))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n)))
    (local.get $number)))
