package directory

import (
	"strings"

	"github.com/domicile-api/domicile/internal/ident"
)

// WriterOf returns the region that a partition of the table belongs to: nobody else may write there. NoRegion if it is none of the
// directory's.
func WriterOf(partition string) ident.RegionID {
	for _, prefix := range []string{logPartitions, statePartitions, publishedPartitions} {
		if writer, ok := strings.CutPrefix(partition, prefix); ok {
			return ident.RegionID(writer)
		}
	}
	return ident.NoRegion
}
