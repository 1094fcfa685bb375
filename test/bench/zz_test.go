package main
import ("testing";"time")
func TestZZ(t *testing.T){ r,b,err:=commitRate(t.Context(),1024,6*time.Second); t.Log(r,b,err)}
