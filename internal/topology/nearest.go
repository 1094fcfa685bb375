package topology

import "math"

// letters is how many letters a country code is made of.
const letters = 'Z' - 'A' + 1

// nearestTable has the nearest region of each country, by the two letters of its code.
type nearestTable [letters * letters]Index

// newNearestTable computes the distances once, so that a look-up is one array access.
func newNearestTable(t *Topology) nearestTable {
	var table nearestTable
	for i := range table {
		table[i] = NoRegion
	}
	for _, from := range countries {
		at, _ := codeIndex(from.code[0], from.code[1])
		shortest := math.Inf(1)
		for i, region := range t.message.GetRegions() {
			if region.GetLatitude() == 0 && region.GetLongitude() == 0 {
				continue // The file does not say where it is.
			}
			distance := greatCircle(float64(from.latitude), float64(from.longitude), region.GetLatitude(), region.GetLongitude())
			if distance < shortest {
				shortest, table[at] = distance, Index(i)
			}
		}
	}
	return table
}

// lookup returns the nearest region of a country, or other if the code is not one of countries.
func (n *nearestTable) lookup(code string, other Index) Index {
	if len(code) != 2 {
		return other
	}
	at, ok := codeIndex(code[0], code[1])
	if !ok || n[at] == NoRegion {
		return other
	}
	return n[at]
}

// codeIndex numbers the two-letter codes; either case.
func codeIndex(first, second byte) (int, bool) {
	a, b := first&^0x20-'A', second&^0x20-'A'
	return int(a)*letters + int(b), a < letters && b < letters
}

// greatCircle returns the angle between two points on a sphere, in radians, by the haversine formula (R. W. Sinnott, "Virtues
// of the Haversine", Sky and Telescope 68, 1984), which is exact enough at small angles too. The arguments are degrees.
func greatCircle(latitude1, longitude1, latitude2, longitude2 float64) float64 {
	const radians = math.Pi / 180
	a, b := latitude1*radians, latitude2*radians
	h := haversine(b-a) + math.Cos(a)*math.Cos(b)*haversine((longitude2-longitude1)*radians)
	return 2 * math.Asin(math.Sqrt(min(h, 1)))
}

func haversine(angle float64) float64 {
	s := math.Sin(angle / 2)
	return s * s
}
