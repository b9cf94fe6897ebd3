;; With several memories: the memory named last is the source of a copy; each grows at the same price.
;;> call fill 65 = 6
;;> call copy 129 = 7
;;> call init 2 = 5
;;> call grow 2 = 2050
(module
  (memory (export "memory") 1)
  (memory $two 1 4)
  (data $d "01")
  (func (export "fill") (param i32) (memory.fill $two (i32.const 0) (i32.const 1) (local.get 0)))
  (func (export "copy") (param i32) (memory.copy 0 $two (i32.const 8) (i32.const 0) (local.get 0)))
  (func (export "init") (param i32) (memory.init $two $d (i32.const 100) (i32.const 0) (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow $two (local.get 0))))
