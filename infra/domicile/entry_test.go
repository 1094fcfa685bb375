package domicile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The load balancer passes to services what has a route header or is of the peer service, under the services' name alone, and to nobody what
// fits no rule.
func TestLoadBalancerPassesWhatIsRouted(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	stack := "domicile-compute-eu-central-1"
	rules := map[string]string{}
	for id, rule := range w.find(stack, "AWS::ElasticLoadBalancingV2::ListenerRule") {
		var conditions []string
		for _, entry := range rule.Properties["Conditions"].([]any) {
			condition := entry.(map[string]any)
			for key, config := range condition {
				if key != "Field" {
					values := config.(map[string]any)
					conditions = append(conditions, strings.Trim(fmt.Sprint(values["HttpHeaderName"], " ", values["Values"]), " "))
				}
			}
		}
		slices.Sort(conditions)
		action := rule.Properties["Actions"].([]any)[0].(map[string]any)
		rules[id] = fmt.Sprint(rule.Properties["Priority"], " ", conditions, " → ", w.resolve("", action["TargetGroupArn"]))
	}
	want := map[string]string{
		"PeersToServices": "10 [<nil> [/domicile.peer.v1.*] <nil> [services.eu-central-1.api.example.com]] → /ServicesTargets",
		"RoutedGrpcToServices": "20 [<nil> [services.eu-central-1.api.example.com] Content-Type [application/grpc*] Domicile-Route [?*]] → " +
			"/ServicesGrpcTargets",
		"RoutedToServices":    "30 [<nil> [services.eu-central-1.api.example.com] Domicile-Route [?*]] → /ServicesTargets",
		"OperatorsToServices": "70 [<nil> [192.0.2.0/24] <nil> [operations.eu-central-1.api.example.com]] → /OperationsTargets",
		"ReadinessOfEdge":     "40 [<nil> [/readyz] <nil> [grpc.eu-central-1.api.example.com]] → /EdgeReadyTargets",
		"GrpcToEdge": "50 [<nil> [grpc.eu-central-1.api.example.com grpc.api.example.com] Content-Type [application/grpc*]] → " +
			"/EdgeGrpcTargets",
		"StreamsToEdge": "60 [<nil> [grpc.eu-central-1.api.example.com grpc.api.example.com]] → /EdgeTargets",
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	listeners := w.find(stack, "AWS::ElasticLoadBalancingV2::Listener")
	for id, listener := range listeners {
		action := listener.Properties["DefaultActions"].([]any)[0].(map[string]any)
		answer, _ := action["FixedResponseConfig"].(map[string]any)
		if listener.Properties["Protocol"] != "HTTPS" || answer["StatusCode"] != "403" {
			t.Errorf("%s: %v", id, listener.Properties)
		}
	}
	if len(listeners) != 1 {
		t.Errorf("%d listeners", len(listeners))
	}
}

// No log that AWS writes for us has a caller's address, a path, a query or a header.
func TestAccessLogsHaveNoPersonalData(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		for id, stage := range w.find("domicile-compute-"+r.ID, "AWS::ApiGatewayV2::Stage") {
			settings := stage.Properties["AccessLogSettings"].(map[string]any)
			for _, word := range []string{"identity", "sourceIp", "path", "protocol", "authorizer", "userAgent", "domainName", "context.error"} {
				if strings.Contains(settings["Format"].(string), word) {
					t.Errorf("%s/%s writes %s", r.ID, id, word)
				}
			}
		}
		for _, template := range []string{"domicile-compute-", "domicile-data-"} {
			for id, res := range w.templates[template+r.ID].Resources {
				if res.Type == "AWS::EC2::FlowLog" || res.Type == "AWS::S3::Bucket" && res.Properties["LoggingConfiguration"] != nil {
					t.Errorf("%s/%s keeps callers' addresses", r.ID, id)
				}
			}
		}
	}
}

// Logs end, are encrypted with the region's key, and lie in the region.
func TestLogsEnd(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for stack := range w.templates {
		for id, group := range w.find(stack, "AWS::Logs::LogGroup") {
			key := w.resolve(stack, group.Properties["KmsKeyId"])
			if group.Properties["RetentionInDays"] != 30.0 || !strings.HasSuffix(key, "/StorageKey.Arn") {
				t.Errorf("%s/%s: %v, key %s", stack, id, group.Properties["RetentionInDays"], key)
			}
		}
	}
}

// What a function is called with, and what happens to what it cannot do.
func TestSourcesOfFunctions(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		stack := "domicile-compute-" + r.ID
		for id, mapping := range w.find(stack, "AWS::Lambda::EventSourceMapping") {
			p := mapping.Properties
			if fmt.Sprint(p["FunctionResponseTypes"]) != "[ReportBatchItemFailures]" {
				t.Errorf("%s/%s tries a whole batch again", r.ID, id)
			}
			if id == "FollowRegional" && (p["BisectBatchOnFunctionError"] != true || p["MaximumRecordAgeInSeconds"] == nil || p["DestinationConfig"] == nil) {
				t.Errorf("%s: one bad record stops the stream: %v", r.ID, p)
			}
		}
		functions := map[string]bool{}
		for _, f := range w.find(stack, "AWS::Lambda::Function") {
			functions[f.Properties["FunctionName"].(string)] = true
			if f.Properties["ReservedConcurrentExecutions"] == nil || f.Properties["Runtime"] != "provided.al2023" {
				t.Errorf("%s: %v", r.ID, f.Properties)
			}
		}
		_, sealedQueue := w.templates["domicile-data-"+r.ID].Resources["Sealed"]
		if functions["domicile-apply-sealed"] != sealedQueue || !functions["domicile-apply-events"] {
			t.Errorf("%s has the functions %v, and a sealed queue: %v", r.ID, functions, sealedQueue)
		}
	}
}

// What people have to be told of has an alarm, and each alarm reaches them.
func TestAlarms(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	for _, r := range w.d.Regions() {
		stack := "domicile-alarms-" + r.ID
		metrics := map[string]bool{}
		for id, a := range w.find(stack, "AWS::CloudWatch::Alarm") {
			metrics[fmt.Sprint(a.Properties["Namespace"], " ", a.Properties["MetricName"])] = true
			if len(w.list(stack, a.Properties["AlarmActions"])) != 1 {
				t.Errorf("%s/%s reaches nobody", r.ID, id)
			}
		}
		for _, want := range []string{
			"AWS/SQS ApproximateNumberOfMessagesVisible", "AWS/SQS ApproximateAgeOfOldestMessage", "AWS/Lambda IteratorAge", "AWS/Lambda Errors",
			"AWS/Lambda Throttles", "AWS/Lambda Duration", "AWS/DynamoDB ReadThrottleEvents", "AWS/DynamoDB WriteThrottleEvents",
			"AWS/DynamoDB ReplicationLatency", "AWS/ApiGateway 5xx", "AWS/ApplicationELB HTTPCode_Target_5XX_Count",
		} {
			if !metrics[want] {
				t.Errorf("%s has no alarm on %s", r.ID, want)
			}
		}
	}
}

// The global names lead to every region by latency, and away from one that is not ready.
func TestGlobalNames(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	records := map[string][]string{}
	for _, record := range w.find("domicile-dns", "AWS::Route53::RecordSet") {
		p := record.Properties
		if p["Region"] != p["SetIdentifier"] || p["HealthCheckId"] == nil {
			t.Errorf("%v", p)
		}
		records[p["Name"].(string)] = append(records[p["Name"].(string)], p["Region"].(string))
	}
	for _, name := range []string{"api.example.com", "grpc.api.example.com"} {
		if len(records[name]) != len(w.d.Regions()) {
			t.Errorf("%s leads to %v", name, records[name])
		}
	}
}
