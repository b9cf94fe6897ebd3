;; One exported function of any name is the default, too.
(module (func (export "answer") (result i32) (i32.const 42)))
