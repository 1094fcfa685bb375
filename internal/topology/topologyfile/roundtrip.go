package topologyfile

import (
	"fmt"
	"strconv"
)

func tripPath(trip int, field string) string {
	return "round_trip_times[" + strconv.Itoa(trip) + "]." + field
}

// checkRoundTrips looks for regions that there are not, and for pairs that stand twice.
func (c *checker) checkRoundTrips() {
	type pair struct{ a, b string }
	first := make(map[pair]int)
	for i, trip := range c.trips {
		path := tripPath(i, "between")
		if c.doc.isBroken(path) {
			continue
		}
		unknown := false
		for k, id := range trip.GetBetween() {
			if _, ok := c.byID[id]; !ok {
				c.addUnknown(path+"["+strconv.Itoa(k)+"]", id)
				unknown = true
			}
		}
		if unknown {
			continue
		}
		between := pair{trip.GetBetween()[0], trip.GetBetween()[1]}
		if between.b < between.a {
			between.a, between.b = between.b, between.a
		}
		if other, taken := first[between]; taken {
			c.doc.add(path, c.doc.closest(path),
				fmt.Sprintf("the round trip between %s and %s stands twice; the first is in line %d", between.a, between.b,
					c.doc.closest(tripPath(other, "between")).Line),
				"leave one of them out; a round trip is the same in both directions")
			continue
		}
		first[between] = i
	}
}
