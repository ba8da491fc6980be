; Two ways to write one product of bit vectors: unsatisfiable, and hard enough to take a second or two.
(set-logic QF_BV)
(declare-const a (_ BitVec 9))
(declare-const b (_ BitVec 9))
(declare-const c (_ BitVec 9))
(assert (distinct (bvmul a (bvadd b c)) (bvadd (bvmul a b) (bvmul a c))))
(check-sat)
