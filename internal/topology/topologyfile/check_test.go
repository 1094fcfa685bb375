package topologyfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// Three regions that are right; the cases put one or more lines wrong. Line 1 is "regions:".
const good = `regions:
  - id: eu-1
    jurisdiction: EU
    roles: [home]
    standby: eu-2
    witness: us-1
    port: 8081
  - id: eu-2
    jurisdiction: EU
    roles: [standby]
    port: 8082
  - id: us-1
    jurisdiction: US
    roles: [home, control]
    port: 8083
`

func edit(old, replacement string) string {
	if !strings.Contains(good, old) {
		panic("the case edits what is not there: " + old)
	}
	return strings.Replace(good, old, replacement, 1)
}

func TestGoodFile(t *testing.T) {
	t.Parallel()
	if problems := topologyfile.Check("good.yaml", []byte(good)); problems != nil {
		t.Errorf("problems in a good file: %v", problems)
	}
	for what, text := range map[string]string{
		"CR LF":               strings.ReplaceAll(good, "\n", "\r\n"),
		"byte order mark":     "\ufeff" + good,
		"no standby, no key":  edit("    standby: eu-2\n    witness: us-1\n", ""),
		"no standby, nothing": edit("    standby: eu-2\n    witness: us-1\n", "    standby:\n    witness: ~\n"),
		"Norway":              strings.ReplaceAll(good, "jurisdiction: US", "jurisdiction: NO"),
		"document marks":      "---\n" + good + "...\n",
		"a lone standby":      edit("    standby: eu-2\n    witness: us-1\n", ""),
		"each other's":        strings.Replace(edit("[standby]", "[home, standby]\n    standby: eu-1\n    witness: us-1"), "[home]", "[home, standby]", 1),
	} {
		if problems := topologyfile.Check("good.yaml", []byte(text)); problems != nil {
			t.Errorf("%s: %v", what, problems)
		}
	}
}

func TestEachRefusal(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file string
		want []string // "line:column: message", all of them, in order.
	}{
		"empty":         {"", []string{"1:1: the file is empty"}},
		"only comments": {"# regions:\n\n", []string{"1:1: the file is empty"}},
		"null":          {"---\n~\n", []string{"1:1: the file is empty"}},
		"no regions":    {"regions: []\n", []string{"1:10: regions: must contain at least 1 item(s)"}},
		"a list":        {"- id: x\n", []string{"1:1: expected fields for domicile.topology.v1.Topology, got sequence"}},
		"a word":        {"regions\n", []string{"1:1: expected fields for domicile.topology.v1.Topology, got scalar"}},
		"bad YAML, open bracket": {edit("roles: [standby]", "roles: [standby"),
			[]string{"10:5: not YAML: did not find expected ',' or ']'"}},
		"bad YAML, tab": {edit("    port: 8081", "\tport: 8081"),
			[]string{"7:1: not YAML: found a tab character that violates indentation"}},
		"bad YAML, indentation": {edit("    port: 8081", "   port: 8081"),
			[]string{"7:4: not YAML: did not find expected '-' indicator"}},
		"two documents": {good + "---\n" + good, []string{"16:1: a second YAML document"}},
		"not UTF-8":     {edit("eu-1\n", "eu-\xff\n"), []string{"2:12: a byte that is not UTF-8"}},
		"UTF-16":        {"\xff\xfer\x00", []string{"1:1: a byte that is not UTF-8"}},
		"old Mac line ends": {strings.ReplaceAll(good, "\n", "\r"),
			[]string{"1:9: a line ends in something other than LF or CR LF"}},
		"line separator": {
			edit("    port: 8081", "    place: a\u2028b\n    port: x"),
			[]string{"7:13: a line ends in something other than LF or CR LF"},
		},
		"next line": {
			edit("    port: 8081", "    place: é\u0085\n    port: x"),
			[]string{"7:13: a line ends in something other than LF or CR LF"},
		},
		"control unknown": {edit("[home, control]", "[home, contrl]"), []string{`14:19: roles: there is no role "contrl"`}},
		"unknown field": {edit("    port: 8081", "    prot: 8081"), []string{
			"2:5: port: must be greater than or equal to 1 and less than or equal to 65535",
			`7:5: unknown field "prot"`,
		}},
		"unknown first field": {edit("  - id: eu-2", "  - name: x\n    id: eu-2"), []string{`8:5: unknown field "name"`}},
		"field by number":     {edit("    port: 8081", "    port: 8081\n    2: x"), []string{`8:5: unknown field "2"`}},
		"extension":           {edit("    port: 8081", "    port: 8081\n    [a.b]: x"), []string{`8:5: a field whose name is not a word`}},
		"a map as name":       {edit("    port: 8081", "    port: 8081\n    ? {a: b}\n    : x"), []string{`8:7: a field whose name is not a word`}},
		"field twice":         {edit("    port: 8081", "    port: 8081\n    port: 8082"), []string{"8:5: port stands twice; the first is in line 7"}},
		"regions twice":       {good + "regions: []\n", []string{"16:1: regions stands twice; the first is in line 1"}},
		"alias": {edit("roles: [standby]", "roles: &r [standby]") + "    standby: *r\n",
			[]string{"16:14: standby: an alias"}},
		"merge":        {good + "    <<: {port: 1}\n", []string{`16:5: unknown field "<<"`}},
		"wrong type":   {edit("port: 8081", "port: eighty"), []string{"7:11: port: invalid integer: invalid number, expected digit"}},
		"role unknown": {edit("[standby]", "[stanby]"), []string{`10:13: roles: there is no role "stanby"`}},
		"role zero":    {edit("[standby]", "[ROLE_UNSPECIFIED]"), []string{`10:13: roles: there is no role "ROLE_UNSPECIFIED"`}},
		"role twice":   {edit("[standby]", "[standby, STANDBY]"), []string{"10:12: roles: repeated value must contain unique items"}},
		"roles no list": {edit("roles: [standby]", "roles: standby"),
			[]string{"10:12: roles: expected sequence, got scalar"}},
		"no roles": {edit("    roles: [standby]\n", ""), []string{
			"8:5: roles: must contain at least 1 item(s)",
		}},
		"place of two lines": {edit("id: us-1", "id: us-1\n    place: \"here\\nthere\""), []string{"13:12: place: does not match regex pattern"}},
		"id of capitals":     {edit("id: us-1", "id: US-1"), []string{"12:9: id: does not match regex pattern"}},
		"id none": {edit("id: us-1", "id: none"), []string{
			`6:14: there is no region "us-1"`,
			`12:9: a region cannot be called "none", which is how a tenant says that it has no standby`,
		}},
		"id twice": {edit("id: us-1", "id: eu-1"), []string{
			`6:14: there is no region "us-1"`,
			"12:9: two regions have the id eu-1; the first is in line 2",
		}},
		"latitude":            {edit("port: 8081", "port: 8081\n    latitude: 91\n    longitude: 8"), []string{"8:15: latitude: must be greater than or equal to -90 and less than or equal to 90"}},
		"latitude not number": {edit("port: 8081", "port: 8081\n    latitude: NaN\n    longitude: 8"), []string{"8:15: latitude: must be greater than or equal to -90 and less than or equal to 90"}},
		"latitude alone":      {edit("port: 8081", "port: 8081\n    latitude: 50"), []string{"8:15: a latitude without a longitude"}},
		"longitude alone":     {edit("port: 8081", "port: 8081\n    longitude: 8"), []string{"8:16: a longitude without a latitude"}},

		"standby unknown": {edit("standby: eu-2", "standby: eu-9"), []string{`5:14: there is no region "eu-9"`}},
		"witness unknown": {edit("witness: us-1", "witness: us-9"), []string{`6:14: there is no region "us-9"`}},
		"standby itself":  {edit("standby: eu-2", "standby: eu-1"), []string{"5:14: a region cannot be its own standby"}},
		"standby no role": {edit("[standby]", "[home]"), []string{"5:14: eu-2 does not have the role standby"}},
		"standby abroad":  {edit("standby: eu-2", "standby: us-1\n    # x"), []string{"5:14: the standby us-1 is in another jurisdiction: US, not EU", "7:14: the witness is the standby itself"}},
		"no witness":      {edit("    witness: us-1\n", ""), []string{"5:14: a standby without a witness"}},
		"witness home":    {edit("witness: us-1", "witness: eu-1"), []string{"6:14: the witness is the home itself"}},
		"witness standby": {edit("witness: us-1", "witness: eu-2"), []string{"6:14: the witness is the standby itself"}},
		"witness alone":   {edit("    standby: eu-2\n", ""), []string{"5:14: a witness without a standby has nothing to vote on"}},
		"standby of no home": {edit("roles: [home]", "roles: [standby]"), []string{
			"3:19: the jurisdiction EU has no home",
			"5:14: a region that is no home has a standby",
		}},
		"no home":     {edit("[home, control]", "[control]"), []string{"13:19: the jurisdiction US has no home"}},
		"no control":  {edit("[home, control]", "[home]"), []string{"2:3: no region has the role control"}},
		"two control": {edit("[standby]", "[control, standby]"), []string{"14:19: a second region has the role control; the first is in line 10"}},

		"port twice":              {edit("port: 8083", "port: 8081"), []string{"15:11: port 8081 is taken: it is the port of the region in line 7"}},
		"port of the global name": {edit("port: 8083", "port: 8080"), []string{"15:11: port 8080 is taken: it is the global name's port"}},
		"port of operations":      {edit("port: 8083", "port: 8090"), []string{"15:11: port 8090 is taken: it is the platform's operations port"}},
		"port of a region's operations": {edit("port: 8083", "port: 8091"),
			[]string{"15:11: port 8091 is taken: it is the operations port of the region in line 7 (10 above its own)"}},
		"port ten below a region's": {edit("port: 8083", "port: 8071"),
			[]string{"15:11: port 8071 puts the region's operations port on 8081, which is the port of the region in line 7"}},
		"port ten below the global": {edit("port: 8083", "port: 8070"),
			[]string{"15:11: port 8070 puts the region's operations port on 8080, which is the global name's port"}},
		"port at the end": {edit("port: 8083", "port: 65530"),
			[]string{"15:11: port 65530 leaves no room for the region's operations port, which is 10 above it"}},
		"port zero":    {edit("port: 8083", "port: 0"), []string{"15:11: port: must be greater than or equal to 1 and less than or equal to 65535"}},
		"port too far": {edit("port: 8083", "port: 65536"), []string{"15:11: port: must be greater than or equal to 1 and less than or equal to 65535"}},

		"endpoint no URL":    {good + "    endpoint: us.example.com\n", []string{"16:15: endpoint: must be a valid URI"}},
		"endpoint scheme":    {good + "    endpoint: ftp://us.example.com\n", []string{"16:15: endpoint: the scheme is neither https nor http"}},
		"endpoint path":      {good + "    endpoint: https://us.example.com/api\n", []string{"16:15: endpoint: a path, query or fragment does not belong here"}},
		"endpoint secret":    {good + "    endpoint: https://u:p@us.example.com\n", []string{"16:15: endpoint: a user name or password does not belong here"}},
		"endpoint directive": {good + "    endpoint: https://us.example.com;sandbox\n", []string{"16:15: endpoint: the host is neither a domain name (in ASCII) nor an IP address"}},
		"endpoint anywhere":  {good + "    endpoint: https://*\n", []string{"16:15: endpoint: the host is neither a domain name (in ASCII) nor an IP address"}},
		"endpoint port":      {good + "    endpoint: https://us.example.com:65536\n", []string{"16:15: endpoint: the port is not between 1 and 65535"}},
		"endpoint host":      {good + "    endpoint: https://:443\n", []string{"16:15: endpoint: no host"}},
		"endpoint twice": {edit("port: 8082", "port: 8082\n    endpoint: https://API.example.com") + "    endpoint: https://api.example.com:443/\n",
			[]string{"17:15: two regions have one endpoint; the first is in line 12"}},
		"services scheme": {good + "    services_endpoint: ftp://us.example.com\n",
			[]string{"16:24: services_endpoint: the scheme is neither https nor http"}},
		"services at an edge": {good + "    services_endpoint: http://localhost:8081\n",
			[]string{"16:24: something else is reached at this endpoint; it is of the region in line 2"}},
		"endpoint is another's port": {good + "    endpoint: http://localhost:8081\n",
			[]string{"16:15: two regions have one endpoint; the first is in line 2"}},
		"endpoint is a later one's port": {edit("port: 8081", "port: 8081\n    endpoint: http://127.0.0.1:8083"),
			[]string{"8:15: the endpoint is that of the region in line 16, which is reached at its port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := topologyfile.Check("f.yaml", []byte(test.file))
			got := make([]string, 0, len(problems))
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message))
				if p.Advice == "" || p.File != "f.yaml" || p.String() != fmt.Sprintf("f.yaml:%d:%d: %s (%s)", p.Line, p.Column, p.Message, p.Advice) {
					t.Errorf("problem without advice or file: %q", p)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	file := `regions:
  - id: eu-1
    jurisdiction: EU
    roles: [hoem]
    standby: eu-9
    witness: eu-1
    port: 8080
  - id: eu-2
    jurisdictions: EU
    roles: [standby]
    port: abc
    endpoint: ftp://x
  - {id: us-1, jurisdiction: US, roles: [standby], port: 8081, latitude: 91, longitude: 1}
  - eu-3
`
	_, err := topologyfile.Parse("bad.yaml", []byte(file))
	var refused *topologyfile.Error
	if !errors.As(err, &refused) {
		t.Fatalf("error %T: %v", err, err)
	}
	got := make([]string, 0, len(refused.Problems))
	for _, p := range refused.Problems {
		got = append(got, fmt.Sprintf("%d:%d", p.Line, p.Column))
	}
	// Line 3 is not refused: the region whose role is misspelt may be the home.
	want := []string{"4:13", "6:14", "7:11", "8:5", "9:5", "11:11", "12:15", "13:74", "14:5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("positions (-want +got):\n%s\n%v", diff, err)
	}
	if strings.Count(err.Error(), "\n") != len(want)-1 {
		t.Errorf("not a line a problem:\n%v", err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "topology.yaml")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := topologyfile.Load(path)
	if err != nil || d.Len() != 3 {
		t.Fatalf("Load: %v, %v", d, err)
	}
	if err := os.WriteFile(path, []byte(edit("8083", "8082")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := topologyfile.Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":15:11: ") {
		t.Errorf("Load of a bad file: %v", err)
	}
	if _, err := topologyfile.Load(path + ".not"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of no file: %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#\n", 1<<17+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := topologyfile.Load(path); err == nil || !strings.Contains(err.Error(), "larger than 256 KiB") {
		t.Errorf("Load of a large file: %v", err)
	}
}
