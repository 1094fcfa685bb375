package domicile_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/infra/domicile"
)

var update = flag.Bool("update", false, "write the golden templates anew")

// golden are the stacks of one region of each kind: one with a standby in its jurisdiction, one alone, and what there is once.
var golden = []string{
	"domicile-global", "domicile-data-eu-central-1", "domicile-data-sa-east-1", "domicile-compute-eu-central-1", "domicile-dns-eu-central-1",
	"domicile-alarms-eu-central-1", "domicile-dns",
}

var assetHash = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// A change of a template is seen in review.
func TestTemplatesAreAsTheyWere(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, stack := range golden {
		path := filepath.Join("testdata", strings.TrimPrefix(stack, "domicile-")+".golden.json")
		got := append(assetHash.ReplaceAll(w.texts[stack], []byte("HASH")), '\n')
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not as it was; if that is meant, run go test ./domicile -update (-want +got):\n%s", stack, diff)
		}
	}
}

// The same input gives the same bytes, so that a difference between two templates is one between two inputs.
func TestTwoSynthesesAreEqual(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	dir := t.TempDir()
	if err := standIns(dir); err != nil {
		t.Fatal(err)
	}
	again, err := synthesize(full(dir), filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keysOf(w.texts), keysOf(again.texts)); diff != "" {
		t.Fatalf("stacks (-first +second):\n%s", diff)
	}
	for stack, text := range w.texts {
		if !bytes.Equal(text, again.texts[stack]) {
			t.Errorf("%s differs:\n%s", stack, cmp.Diff(string(text), string(again.texts[stack])))
		}
	}
}

// A new region is one entry of the topology file.
func TestANewRegionIsOneEntry(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	dir := t.TempDir()
	if err := standIns(dir); err != nil {
		t.Fatal(err)
	}
	cfg := full(dir)
	entry := "regions:\n  - {id: eu-north-1, jurisdiction: EU, roles: [standby], port: 8087, endpoint: https://eu-north-1.api.example.com, " +
		"services_endpoint: https://services.eu-north-1.api.example.com}\n"
	cfg.Topology = bytes.Replace(cfg.Topology, []byte("regions:\n"), []byte(entry), 1)
	more, err := synthesize(cfg, filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	var added []string
	for stack := range more.texts {
		if w.texts[stack] == nil {
			added = append(added, stack)
		}
	}
	slices.Sort(added)
	want := []string{"domicile-alarms-eu-north-1", "domicile-compute-eu-north-1", "domicile-data-eu-north-1", "domicile-dns-eu-north-1"}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("new stacks (-want +got):\n%s", diff)
	}
	for _, problem := range roleProblems(more, more.roles()) {
		t.Error(problem)
	}
	// A jurisdiction of its own has no part in another's keys and sealed queues.
	for _, stack := range []string{"domicile-data-sa-east-1", "domicile-data-us-east-1"} {
		if text := string(more.texts[stack]); strings.Count(text, "role/domicile-eu-north-1-") != 5 { // relay, services, sweep and both apply functions send events
			t.Errorf("%s names the new region's roles %d times", stack, strings.Count(text, "role/domicile-eu-north-1-"))
		}
	}
}

// The smallest deployment is one region, without a domain and with nobody to send to.
func TestOneRegion(t *testing.T) {
	t.Parallel()
	w, err := synthesize(domicile.Config{
		Name: "small", Account: account, Topology: []byte("regions:\n  - {id: eu-north-1, jurisdiction: EU, roles: [home, control], port: 8081}\n"),
	}, filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"small-data-eu-north-1", "small-global"}, keysOf(w.texts)); diff != "" {
		t.Errorf("stacks (-want +got):\n%s", diff)
	}
	if n := len(w.find("small-data-eu-north-1", "AWS::SQS::Queue")); n != 2 {
		t.Errorf("%d queues, want events and its dead letters", n)
	}
}

// With an account a region the control region's account has the directory, and each other one a replica that both sides admit.
func TestAccountARegion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := standIns(dir); err != nil {
		t.Fatal(err)
	}
	cfg := full(dir)
	cfg.Account, cfg.Accounts = "", map[string]string{
		"eu-central-1": "000000000001", "eu-west-1": "000000000002", "us-east-1": "000000000003", "us-west-2": "000000000004",
		"ap-southeast-1": "000000000005", "sa-east-1": "000000000006",
	}
	w, err := synthesize(cfg, filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w.templates["domicile-global"].Resources["Directory"].Properties["Replicas"].([]any)); n != 1 {
		t.Errorf("the control region's table has %d replicas of its own, want 1", n)
	}
	for region, number := range cfg.Accounts {
		replica, there := w.templates["domicile-data-"+region].Resources["Directory"]
		if there == (region == "us-east-1") {
			t.Errorf("%s has a replica: %v", region, there)
		}
		if there && replica.Properties["GlobalTableSourceArn"] != "arn:aws:dynamodb:us-east-1:000000000003:table/domicile-directory" {
			t.Errorf("the replica of %s is of %v", region, replica.Properties["GlobalTableSourceArn"])
		}
		if text := string(w.texts["domicile-data-"+region]); !strings.Contains(text, "domicile-snapshots-"+number+"-"+region) {
			t.Errorf("%s is not in account %s", region, number)
		}
	}
	if text := string(w.texts["domicile-compute-eu-west-1"]); !strings.Contains(text, "arn:aws:sqs:sa-east-1:000000000006:domicile-events.fifo") ||
		strings.Contains(text, account) && !strings.Contains(text, account+".dkr.ecr") {
		t.Error("eu-west-1 does not send to the account of sa-east-1")
	}
}
