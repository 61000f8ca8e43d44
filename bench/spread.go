package bench

import "math"

// Spread is a ratio over several rounds: its geometric mean, and the smallest and
// largest of the rounds.
type Spread struct {
	Mean   float64 `json:"mean"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"` // that count
}

// ratioSpread compares a with b, round by round. Rounds that have no positive figure
// on either side do not count; nil: none counts.
func ratioSpread(a, b []float64) *Spread {
	s := &Spread{Min: math.Inf(1), Max: math.Inf(-1)}
	var logs float64
	for i := range min(len(a), len(b)) {
		if !(a[i] > 0 && b[i] > 0) || math.IsInf(a[i], 0) || math.IsInf(b[i], 0) {
			continue
		}
		r := a[i] / b[i]
		logs += math.Log(r)
		s.Min, s.Max = min(s.Min, r), max(s.Max, r)
		s.Rounds++
	}
	if s.Rounds == 0 {
		return nil
	}
	s.Mean = math.Exp(logs / float64(s.Rounds))
	return s
}
