package topologyfile_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)( refused)?\n(.*?)^```$")

// Each YAML block of the guide is what the text around it says: valid, or refused with the problems of the block that follows.
func TestGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/guides/topology.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(text), -1)
	valid, refused, largest := 0, 0, 0
	for i, block := range blocks {
		language, isRefused, body := block[1], block[2] != "", block[3]
		if language != "yaml" {
			continue
		}
		var got strings.Builder
		for _, problem := range topologyfile.Check("topology.yaml", []byte(body)) {
			got.WriteString(problem.String() + "\n")
		}
		want := ""
		if isRefused {
			refused++
			if i+1 == len(blocks) || blocks[i+1][1] != "text" {
				t.Fatalf("block %d is refused, and no block says how:\n%s", i, body)
			}
			want = blocks[i+1][3]
		} else {
			valid++
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("block %d (-want +got):\n%s\n%s", i, diff, body)
		}
		if d, err := topologyfile.Parse("topology.yaml", []byte(body)); err == nil && d.Len() > largest {
			largest = d.Len()
			if largest < topologyfile.Default().Len() {
				continue
			}
			if diff := cmp.Diff(topologyfile.Default().Proto(), d.Proto(), protocmp.Transform()); diff != "" {
				t.Errorf("the guide's six regions are not the built-in ones (-built-in +guide):\n%s", diff)
			}
		}
	}
	if valid < 5 || refused < 2 || largest != topologyfile.Default().Len() {
		t.Errorf("%d valid and %d refused blocks, the largest of %d regions", valid, refused, largest)
	}
}
