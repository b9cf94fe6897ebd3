;; Active segments cost as the init instructions that they are: 3 elements 1 + 1, 9 elements 1 + 2, 70 bytes 1 + 2, none 1; passive and
;; declared ones nothing. The start function costs what it executes: 3.
;;> start = 12
;;> call nothing = 0
(module
  (memory (export "memory") 1)
  (table 20 funcref)
  (elem (i32.const 0) func $f $f $f)
  (elem (i32.const 4) funcref (ref.func $f) (ref.func $f) (ref.func $f) (ref.null func) (ref.func $f) (ref.func $f) (ref.func $f)
    (ref.func $f) (ref.func $f))
  (elem func $f $f)
  (elem declare func $f)
  (data (i32.const 10) "0123456789012345678901234567890123456789012345678901234567890123456789")
  (data (i32.const 0) "")
  (data "passive")
  (func $f (export "nothing"))
  (start $begin)
  (func $begin (i32.store8 (i32.const 0) (i32.const 9))))
