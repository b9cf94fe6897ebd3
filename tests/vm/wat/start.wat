;; Segments and a start function that stores.
(module
  (memory (export "memory") 1)
  (table 4 funcref)
  (elem (i32.const 1) 0 0 0)
  (data (i32.const 10) "0123456789012345678901234567890123456789012345678901234567890123456789")
  (func $start (i32.store8 (i32.const 0) (i32.const 9)))
  (start $start))
