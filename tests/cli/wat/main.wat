;; Two functions, one of them named main: the default.
(module
  (func (export "other") (result i32) (i32.const 1))
  (func (export "main") (result i32) (i32.const 2)))
