package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// What is vendored is what fetch.sh fetched: the checksums are those of the files in the npm package.
func TestVendoredFilesAreWhole(t *testing.T) {
	t.Parallel()
	const folder = "vendored/swagger-ui/"
	script, err := os.ReadFile("vendored/fetch.sh")
	if err != nil {
		t.Fatal(err)
	}
	version, err := vendored.ReadFile(folder + "VERSION")
	if err != nil {
		t.Fatal(err)
	}
	name, number, _ := strings.Cut(strings.TrimSpace(string(version)), " ")
	if !strings.Contains(string(script), "\nPACKAGE="+name+"\nVERSION="+number+"\n") {
		t.Errorf("fetch.sh fetches something else than %s", version)
	}
	sums, err := vendored.ReadFile(folder + "SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != 2 {
		t.Errorf("there are %d checksums", len(lines))
	}
	for _, line := range lines {
		want, file, _ := strings.Cut(line, "  ")
		packed, err := vendored.ReadFile(folder + file + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		plain, err := expand(packed)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s is not the file of the package; run: make portal-assets", file)
		}
	}
}

// The map's outlines tell land from sea where everybody knows which it is.
func TestLandAndSea(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		longitude, latitude float64
		land                bool
	}{
		"Kansas": {-98, 38, true}, "Amazonas": {-60, -5, true}, "Bavaria": {11.5, 48.5, true}, "Chad": {18, 15, true}, "Siberia": {100, 60, true},
		"Queensland": {144, -23, true}, "Deccan": {77, 17, true}, "Greenland": {-40, 72, true},
		"the Atlantic": {-35, 30, false}, "the Pacific": {-150, 0, false}, "the Indian Ocean": {80, -20, false}, "Hudson Bay": {-86, 58, false},
		"the Caspian Sea": {51, 42, false}, "the Black Sea": {34, 43.3, false}, "the Gulf of Mexico": {-90, 25, false}, "the Mediterranean": {18, 34.5, false},
	} {
		if onLand(at.longitude, at.latitude) != at.land {
			t.Errorf("%s is land: %v", name, !at.land)
		}
	}
}
