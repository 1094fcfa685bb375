package domicile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/infra/domicile"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// The names, keys, streams and tags that adapters rely on.
func TestTablesAreAsAdaptersExpect(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		got := map[string]string{}
		for _, table := range w.find("domicile-data-"+r.ID, "AWS::DynamoDB::Table") {
			p := table.Properties
			stream, _ := p["StreamSpecification"].(map[string]any)
			recovery, _ := p["PointInTimeRecoverySpecification"].(map[string]any)
			keys, err := json.Marshal([]any{p["AttributeDefinitions"], p["KeySchema"], p["TimeToLiveSpecification"]})
			if err != nil {
				t.Fatal(err)
			}
			if string(keys) != `[[{"AttributeName":"pk","AttributeType":"B"},{"AttributeName":"sk","AttributeType":"B"}],`+
				`[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}],{"AttributeName":"ttl","Enabled":true}]` {
				t.Errorf("%s: the keys are %s", r.ID, keys)
			}
			tags := tagsOf(table)
			got[p["TableName"].(string)] = fmt.Sprintf("%v %v protected=%v %v schema=%s class=%s jurisdiction=%s recovery=%v",
				p["BillingMode"], stream["StreamViewType"], p["DeletionProtectionEnabled"], table.DeletionPolicy, tags["domicile:schema"],
				tags["domicile:class"], tags["domicile:jurisdiction"], recovery["RecoveryPeriodInDays"])
		}
		want := map[string]string{
			"domicile-regional": "PAY_PER_REQUEST KEYS_ONLY protected=true Retain schema=1 class=PII jurisdiction=" + r.Jurisdiction + " recovery=35",
			"domicile-keys":     "PAY_PER_REQUEST <nil> protected=true Retain schema=1 class=PII jurisdiction=" + r.Jurisdiction + " recovery=1",
			"domicile-settings": "PAY_PER_REQUEST <nil> protected=true Retain schema=1 class=GLOBAL jurisdiction=" + r.Jurisdiction + " recovery=35",
			"domicile-replica":  "PAY_PER_REQUEST KEYS_ONLY protected=true Retain schema=1 class=REGIONAL jurisdiction=" + r.Jurisdiction + " recovery=<nil>",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.ID, diff)
		}
	}
}

func TestDirectoryIsInEveryRegion(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	directory := w.templates["domicile-global"].Resources["Directory"]
	replicas, _ := directory.Properties["Replicas"].([]any)
	regions := make([]string, 0, len(replicas))
	for _, entry := range replicas {
		replica := entry.(map[string]any)
		regions = append(regions, replica["Region"].(string))
		tags := tagList(replica["Tags"])
		if replica["DeletionProtectionEnabled"] != true || tags["domicile:schema"] != "1" || tags["domicile:class"] != "GLOBAL" {
			t.Errorf("the replica %v", replica)
		}
	}
	ids := topologyfile.Default().IDs()
	want := make([]string, 0, len(ids))
	for _, id := range ids {
		want = append(want, string(id))
	}
	if diff := cmp.Diff(want, regions); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
	if directory.Properties["TableName"] != "domicile-directory" || len(w.templates["domicile-global"].Resources) != 1 {
		t.Errorf("the global stack has %v", w.templates["domicile-global"].Resources)
	}
}

// The attributes that the queue's adapter refuses to work without.
func TestQueuesAreAsTheAdapterExpects(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		stack := "domicile-data-" + r.ID
		for id, q := range w.find(stack, "AWS::SQS::Queue") {
			p := q.Properties
			redrive, _ := p["RedrivePolicy"].(map[string]any)
			got := fmt.Sprintf("%v %v %v %v %v schema=%s", p["FifoQueue"], p["FifoThroughputLimit"], p["DeduplicationScope"], p["MaximumMessageSize"],
				p["ReceiveMessageWaitTimeSeconds"], tagsOf(q)["domicile:schema"])
			if got != "true perMessageGroupId messageGroup 1.048576e+06 0 schema=1" || p["ContentBasedDeduplication"] != nil {
				t.Errorf("%s/%s: %s", r.ID, id, got)
			}
			if dead := strings.HasSuffix(id, "Dead"); dead != (redrive == nil) || !dead && redrive["maxReceiveCount"] != 5.0 {
				t.Errorf("%s/%s: redrive %v", r.ID, id, redrive)
			}
			if encrypted := strings.HasSuffix(w.resolve(stack, p["KmsMasterKeyId"]), "/StorageKey.Arn"); encrypted != strings.HasPrefix(id, "Sealed") {
				t.Errorf("%s/%s: encrypted with the region's key: %v", r.ID, id, encrypted)
			}
		}
	}
}

func TestNamesOfADataStack(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	stack := "domicile-data-us-west-2"
	var got []string
	for _, kind := range []struct{ kind, property string }{
		{"AWS::SQS::Queue", "QueueName"},
		{"AWS::KMS::Alias", "AliasName"},
		{"AWS::S3::Bucket", "BucketName"},
		{"AWS::SecretsManager::Secret", "Name"},
		{"AWS::SSM::Parameter", "Name"},
	} {
		for _, r := range w.find(stack, kind.kind) {
			got = append(got, r.Properties[kind.property].(string))
		}
	}
	slices.Sort(got)
	want := []string{
		"/domicile/topology", "alias/domicile-storage", "alias/domicile-tenants", "domicile-events-dead.fifo", "domicile-events.fifo",
		"domicile-sealed-dead.fifo", "domicile-sealed.fifo", "domicile-snapshots-" + account + "-us-west-2", "domicile/peer-key", "domicile/route-key",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if topo := w.templates[stack].Resources["Topology"]; topo.Properties["Value"] != string(withEndpoints(topologyfile.DefaultYAML(), "api.example.com")) {
		t.Error("the parameter is not the topology file")
	}
}

// untagged are types that take no tags, or none that the linter knows, or whose tags are elsewhere.
var untagged = []string{
	"AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::Integration", "AWS::ApiGatewayV2::Route", "AWS::ApplicationAutoScaling::",
	"AWS::DynamoDB::GlobalTable", "AWS::EC2::Route", "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress",
	"AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPCGatewayAttachment", "AWS::ElasticLoadBalancingV2::Listener", "AWS::KMS::Alias",
	"AWS::Lambda::Permission", "AWS::Route53::RecordSet", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy",
	"AWS::SQS::QueuePolicy",
}

func TestEveryResourceIsTagged(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for stack, template := range w.templates {
		for id, r := range template.Resources {
			if r.Type != "AWS::EC2::RouteTable" && slices.ContainsFunc(untagged, func(u string) bool { return strings.HasPrefix(r.Type, u) }) {
				continue
			}
			tags := tagsOf(r)
			if tags["domicile:deployment"] != "domicile" || tags["domicile:class"] == "" || tags["domicile:jurisdiction"] == "" {
				t.Errorf("%s/%s, a %s, has the tags %v", stack, id, r.Type, tags)
			}
		}
	}
}

// tagsOf reads tags in whichever form a type has them.
func tagsOf(r resource) map[string]string {
	for _, property := range []string{"Tags", "HealthCheckTags"} {
		if value, ok := r.Properties[property]; ok {
			return tagList(value)
		}
	}
	return nil
}

func tagList(value any) map[string]string {
	tags := map[string]string{}
	switch v := value.(type) {
	case map[string]any:
		for key, text := range v {
			tags[key], _ = text.(string)
		}
	case []any:
		for _, entry := range v {
			pair := entry.(map[string]any)
			tags[pair["Key"].(string)], _ = pair["Value"].(string)
		}
	}
	return tags
}

// Nothing that a data stack or the global stack has is unknown to the emulator that stands for AWS on one machine.
func TestDataStacksRunOnOneMachine(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	known := []string{
		"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table", "AWS::KMS::Alias", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::S3::BucketPolicy",
		"AWS::SecretsManager::Secret", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::SSM::Parameter",
	}
	for stack, template := range w.templates {
		if !strings.HasPrefix(stack, "domicile-data-") && stack != "domicile-global" {
			continue
		}
		for id, r := range template.Resources {
			if !slices.Contains(known, r.Type) {
				t.Errorf("%s/%s is a %s", stack, id, r.Type)
			}
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	good := domicile.Config{Topology: topologyfile.DefaultYAML(), Account: account}
	each := map[string]string{}
	for i, id := range topologyfile.Default().IDs() {
		each[string(id)] = fmt.Sprintf("%012d", i+1)
	}
	for name, test := range map[string]struct {
		change func(*domicile.Config)
		want   string // in the error; empty for none
	}{
		"good":                 {func(*domicile.Config) {}, ""},
		"an account a region":  {func(c *domicile.Config) { c.Account, c.Accounts = "", each }, ""},
		"no account":           {func(c *domicile.Config) { c.Account = "" }, "eu-central-1 has no account"},
		"some accounts":        {func(c *domicile.Config) { c.Accounts = map[string]string{"sa-east-1": "000000000001"} }, "2 accounts for 6 regions"},
		"an account of none":   {func(c *domicile.Config) { c.Accounts = map[string]string{"sa-east-9": "000000000001"} }, "no region \"sa-east-9\""},
		"a name with capitals": {func(c *domicile.Config) { c.Name = "Domicile" }, "lower-case"},
		"a long name":          {func(c *domicile.Config) { c.Name = strings.Repeat("x", 21) }, "1 to 20"},
		"no topology":          {func(c *domicile.Config) { c.Topology = nil }, "empty"},
		"a region of none": {func(c *domicile.Config) {
			c.Topology = []byte(strings.ReplaceAll(string(c.Topology), "sa-east-1", "laptop"))
		}, "laptop is none of AWS"},
		"a long topology": {func(c *domicile.Config) {
			c.Topology = append([]byte(strings.Repeat("# "+strings.Repeat("x", 80)+"\n", 60)), c.Topology...)
		}, "a parameter holds 8192"},
		"a zone's own name": {func(c *domicile.Config) { c.Domain = &domicile.Domain{Name: "example.com", Zone: "Z1"} }, "below a zone"},
		"another endpoint":  {func(c *domicile.Config) { c.Domain = &domicile.Domain{Name: "api.example.com", Zone: "Z1"} }, "services_endpoint"},
		"no zone":           {func(c *domicile.Config) { c.Domain = &domicile.Domain{Name: "api.example.com"} }, "no hosted zone"},
		"no functions":      {func(c *domicile.Config) { c.Domain = &domicile.Domain{Name: "api.example.com", Zone: "Z1"} }, "no folder with the functions"},
		"operators everywhere": {func(c *domicile.Config) {
			c.Domain, c.Operators = &domicile.Domain{Name: "api.example.com", Zone: "Z1"}, []string{"0.0.0.0/0"}
		}, "less than everything"},
		"an architecture": {func(c *domicile.Config) { c.Architecture = "sparc" }, "neither arm64"},
	} {
		cfg := good
		test.change(&cfg)
		_, err := domicile.New(cfg)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
