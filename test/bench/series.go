package main

import (
	"fmt"
	"slices"
	"strconv"
)

// series are the figures of one thing, a round each.
type series []float64

func (s series) sorted() series { return slices.Sorted(slices.Values(s)) }

// median is 0 of no figures.
func (s series) median() float64 {
	o := s.sorted()
	switch n := len(o); {
	case n == 0:
		return 0
	case n%2 == 1:
		return o[n/2]
	default:
		return (o[n/2-1] + o[n/2]) / 2
	}
}

// over divides round by round.
func (s series) over(other series) series {
	out := make(series, 0, len(s))
	for i := range min(len(s), len(other)) {
		if other[i] != 0 {
			out = append(out, s[i]/other[i])
		}
	}
	return out
}

// minus subtracts round by round.
func (s series) minus(other series) series {
	out := make(series, 0, len(s))
	for i := range min(len(s), len(other)) {
		out = append(out, s[i]-other[i])
	}
	return out
}

// times is a ratio as the table has it: the median and the range.
func (s series) times() string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median(), slices.Min(s), slices.Max(s))
}

// number writes a figure with three digits that count, at least, and its unit.
func number(v float64, unit string) string {
	digits := 0
	for limit := 100.0; digits < 3 && v != 0 && v > -limit && v < limit; limit /= 10 {
		digits++
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}

// spread is a figure as the table has it: the median, the range and the unit.
func (s series) spread(unit string) string {
	if len(s) == 0 {
		return "none"
	}
	if len(s) == 1 {
		return number(s[0], unit)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median(), unit), bare(slices.Min(s)), bare(slices.Max(s)))
}

func bare(v float64) string {
	n := number(v, "")
	return n[:len(n)-1]
}
