;; Bulk operations: 1 for each 64 bytes or 8 elements begun, as the program states them; a page: 1024. Paid before anything is checked.
;;> call fill 0 = 4
;;> call fill 1 = 5
;;> call fill 64 = 5
;;> call fill 65 = 6
;;> call fill 65536 = 1028
;;> call fill 65537 = 1029
;;> call fill 4294967295 = 67108868
;;> call copy 0 = 4
;;> call copy 129 = 7
;;> call copy 4294967295 = 67108868
;;> call init 0 = 4
;;> call init 5 = 5
;;> call init 65 = 6
;;> call grow 0 = 2
;;> call grow 1 = 1026
;;> call grow 3 = 3074
;;> call grow 100 = 102402
;;> call grow 4294967295 = 4398046510082
;;> call table_grow 0 = 3
;;> call table_grow 1 = 4
;;> call table_grow 8 = 4
;;> call table_grow 9 = 5
;;> call table_grow 1000 = 128
;;> call table_fill 1 = 5
;;> call table_fill 16 = 6
;;> call table_fill 17 = 7
;;> call table_copy 9 = 6
;;> call table_copy 4294967295 = 536870916
;;> call table_init 2 = 5
;;> call table_init 80 = 14
;;> call drops = 2
;;> call init 1 = 5
(module
  (memory (export "memory") 1 4)
  (table $t 4 40 funcref)
  (elem $e func $f $f $f)
  (data $d "0123456789")
  (func $f)
  (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
  (func (export "copy") (param i32) (memory.copy (i32.const 8) (i32.const 0) (local.get 0)))
  (func (export "init") (param i32) (memory.init $d (i32.const 100) (i32.const 0) (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "table_grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
  (func (export "table_fill") (param i32) (table.fill $t (i32.const 0) (ref.null func) (local.get 0)))
  (func (export "table_copy") (param i32) (table.copy (i32.const 1) (i32.const 0) (local.get 0)))
  (func (export "table_init") (param i32) (table.init $e (i32.const 0) (i32.const 0) (local.get 0)))
  (func (export "drops") (data.drop $d) (elem.drop $e)))
