;; 64-bit memories: the same prices.
;;> call fill 65 = 6
;;> call fill 65537 = 1029
;;> call copy 129 = 7
;;> call init 11 = 5
;;> call grow 2 = 2050
;;> call grow 1000000 = 1024000002
;;> call load 0xfffffffffffffff8 = 2
(module
  (memory (export "memory") i64 1 4)
  (data $d "0123456789")
  (func (export "fill") (param i64) (memory.fill (i64.const 0) (i32.const 1) (local.get 0)))
  (func (export "copy") (param i64) (memory.copy (i64.const 8) (i64.const 0) (local.get 0)))
  (func (export "init") (param i32) (memory.init $d (i64.const 100) (i32.const 0) (local.get 0)))
  (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
  (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))
