(module
  (func $boom unreachable)
  (start $boom)
  (func (export "main")))
