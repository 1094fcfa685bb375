package topology

import "time"

// What a round trip is estimated by where the file does not give it.
const (
	// earthRadius is the mean radius in kilometres.
	earthRadius = 6371.0
	// fibreSpeed is how far light gets in glass, in kilometres a millisecond: two thirds of its speed in vacuum.
	fibreSpeed = 299.792458 * 2 / 3
	// detour is how much longer cables are than the great circle.
	detour = 1.5
	// equipment is what routers and hosts add, in milliseconds.
	equipment = 2.0
	// nowhere is taken, in milliseconds, for a region that does not say where it is: a distance between neighbouring continents.
	nowhere = 100.0
)

// RoundTrip returns how long a message from one region to the other and its answer take on the network between them: what the
// file says, or an estimate from where the two are (2 × great circle ÷ ⅔ of the speed of light × 1.5, and 2 ms). It is the
// same in both directions, and zero from a region to itself or if either is not a region of this topology.
func (t *Topology) RoundTrip(a, b Index) time.Duration {
	if !t.Has(a) || !t.Has(b) {
		return 0
	}
	return t.roundTrips[int(a)*t.Len()+int(b)]
}

// newRoundTrips makes the table of all pairs; t has its regions already.
func newRoundTrips(t *Topology) []time.Duration {
	n := t.Len()
	table := make([]time.Duration, n*n)
	set := func(a, b Index, millis float64) {
		d := time.Duration(millis * float64(time.Millisecond))
		table[int(a)*n+int(b)], table[int(b)*n+int(a)] = d, d
	}
	for _, a := range t.Regions() {
		for b := range a {
			set(a, b, t.estimate(a, b))
		}
	}
	for _, trip := range t.message.GetRoundTripTimes() {
		set(t.named(trip.GetBetween()[0]), t.named(trip.GetBetween()[1]), trip.GetMilliseconds())
	}
	return table
}

// estimate returns a round trip in milliseconds.
func (t *Topology) estimate(a, b Index) float64 {
	for _, i := range []Index{a, b} {
		if t.Region(i).GetLatitude() == 0 && t.Region(i).GetLongitude() == 0 {
			return nowhere
		}
	}
	distance := earthRadius * greatCircle(t.Region(a).GetLatitude(), t.Region(a).GetLongitude(), t.Region(b).GetLatitude(), t.Region(b).GetLongitude())
	return 2*distance/fibreSpeed*detour + equipment
}
