"""The argued steps of the theorems, held against programs.

What a proof argues in words, about every legal schedule, is evaluated here on one: a trace of a program, word by word, is
replayed, its stays and segments are found as the proof has them, and every inequality is checked under its name, in whole
numbers and fractions. That proves nothing, but a wrong step or a wrong constant shows up as a named failure on a legal
schedule. No theorem rests on it; the tests run it, on the algorithms' programs and on random schedules:

auditor, approx_auditor   the proofs for exact and for approximate attention
replay, approx_replay     what a trace did: stays, products, sums; whether it is legal
segments, inequalities    how the proofs for exact attention cut it, and what they say of each piece
ledger                    how often each inequality was checked, and how tight it was
"""
