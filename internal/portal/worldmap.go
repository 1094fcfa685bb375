package portal

import (
	"fmt"
	"math"
	"strings"

	"github.com/domicile-api/domicile/internal/topology"
)

// The map is an equirectangular projection whose standard parallels are at 33.6°, where 1.2 of its units are a degree north. One unit is
// a degree east.
const (
	mapStretch = 1.2
	mapNorth   = 84.0
	mapSouth   = -57.0
	mapStep    = 3.0
)

// point is a place on the map: x to the east, y to the south.
type point struct{ X, Y float64 }

func project(longitude, latitude float64) point {
	round := func(v float64) float64 { return math.Round(v*10) / 10 }
	return point{round(longitude), round(-latitude * mapStretch)}
}

// worldDots draws the continents as a path of dots on a grid, so that outlines of a few dozen corners suffice.
func worldDots() string {
	var b strings.Builder
	for y := -mapNorth * mapStretch; y <= -mapSouth*mapStretch; y += mapStep {
		for x := -180.0; x < 180; x += mapStep {
			if onLand(x, -y/mapStretch) {
				_, _ = fmt.Fprintf(&b, "M%g %gh0", x, math.Round(y*10)/10) // A Builder never fails.
			}
		}
	}
	return b.String()
}

func onLand(longitude, latitude float64) bool {
	for _, sea := range inlandSeas {
		if inside(sea, longitude, latitude) {
			return false
		}
	}
	for _, land := range outlines {
		if inside(land, longitude, latitude) {
			return true
		}
	}
	return false
}

// inside counts how often a ray to the east crosses the outline, whose corners are pairs of longitude and latitude.
func inside(outline []float64, x, y float64) bool {
	in := false
	last := len(outline) - 2
	for i := 0; i < len(outline); i += 2 {
		x1, y1, x2, y2 := outline[i], outline[i+1], outline[last], outline[last+1]
		if (y1 > y) != (y2 > y) && x < (x2-x1)*(y-y1)/(y2-y1)+x1 {
			in = !in
		}
		last = i
	}
	return in
}

// marker is a region on the map.
type marker struct {
	ID, Place, Jurisdiction string
	At                      point
	// Label is where the place's name stands; End says that it ends there instead of beginning.
	Label point
	End   bool
	Here  bool
}

// near is how close two markers are, in degrees east and north, when the names of both would lie on each other.
const (
	nearEast  = 42
	nearNorth = 9
)

// markers places the regions that have coordinates. Of two that are close to each other the western one has its name at its left.
func markers(t *topology.Topology, here topology.Index) []marker {
	var out []marker
	for _, i := range t.Regions() {
		r := t.Region(i)
		if r.GetLatitude() == 0 && r.GetLongitude() == 0 {
			continue
		}
		m := marker{
			ID: r.GetId(), Place: r.GetPlace(), Jurisdiction: r.GetJurisdiction(), At: project(r.GetLongitude(), r.GetLatitude()), Here: i == here,
		}
		for _, j := range t.Regions() {
			o := t.Region(j)
			east := o.GetLongitude() - r.GetLongitude()
			if j != i && east >= 0 && east < nearEast && math.Abs(o.GetLatitude()-r.GetLatitude()) < nearNorth {
				m.End = true
			}
		}
		m.End = m.End || m.At.X > 140
		m.Label = point{m.At.X + 5, m.At.Y + 2}
		if m.End {
			m.Label.X = m.At.X - 5
		}
		out = append(out, m)
	}
	return out
}
