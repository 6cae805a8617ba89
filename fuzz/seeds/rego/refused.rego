package safeconduct
allow if time.now_ns() > 1
x := 1e999999999
f(x) := f(x)
y := [[[[1]]]]
