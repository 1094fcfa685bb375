package topology

// CountryPoint is a row of the table of countries.
type CountryPoint struct {
	Code                string
	Latitude, Longitude float64
}

// Countries returns the table of countries.
func Countries() []CountryPoint {
	points := make([]CountryPoint, 0, len(countries))
	for _, c := range countries {
		points = append(points, CountryPoint{string(c.code[:]), float64(c.latitude), float64(c.longitude)})
	}
	return points
}
