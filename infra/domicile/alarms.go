package domicile

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// AlarmStack tells people what a region cannot mend by itself. No alarm names a tenant: metrics have none.
type AlarmStack struct {
	Stack awscdk.Stack

	d     *Deployment
	r     Region
	topic awssns.CfnTopic
}

// alarm is a metric and its bound.
type alarm struct {
	id, description   string
	namespace, metric string
	dimensions        map[string]string
	// statistic is CloudWatch's, e.g. Sum or p99.
	statistic string
	// above is what the metric must not exceed for the given number of minutes in a row.
	above   float64
	minutes int
}

// NewAlarmStack makes the stack of a region.
func NewAlarmStack(scope constructs.Construct, d *Deployment, r Region, data *DataStack, compute *ComputeStack) *AlarmStack {
	s := &AlarmStack{Stack: newStack(scope, d, r, "alarms-"+r.ID, "Alarms of "+r.ID+"."), d: d, r: r}
	s.Stack.AddStackDependency(compute.Stack, nil)
	s.newTopic(data)
	for _, list := range [][]alarm{s.queueAlarms(), s.tableAlarms(), s.functionAlarms(), s.entryAlarms(compute), s.replicationAlarms()} {
		for _, a := range list {
			s.newAlarm(a)
		}
	}
	s.newKeyAlarms(data)
	return s
}

func (s *AlarmStack) newTopic(data *DataStack) {
	s.topic = awssns.NewCfnTopic(s.Stack, jsii.String("Topic"), &awssns.CfnTopicProps{
		TopicName: jsii.String(s.d.name("alarms")), KmsMasterKeyId: data.Storage.AttrArn(),
	})
	awssns.NewCfnTopicPolicy(s.Stack, jsii.String("TopicPolicy"), &awssns.CfnTopicPolicyProps{
		Topics: texts(*s.topic.Ref()),
		PolicyDocument: document(access.PolicyOf(access.Statement{
			Sid: "PublishAlarms", Effect: "Allow", Principal: map[string]any{"Service": []string{"cloudwatch.amazonaws.com", "events.amazonaws.com"}},
			Action: []string{"sns:Publish"}, Resource: []string{*s.topic.Ref()},
			Condition: map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": {s.r.Account}}},
		})),
	})
	if s.d.cfg.AlarmEmail != "" {
		awssns.NewCfnSubscription(s.Stack, jsii.String("ToPeople"), &awssns.CfnSubscriptionProps{
			TopicArn: s.topic.Ref(), Protocol: jsii.String("email"), Endpoint: jsii.String(s.d.cfg.AlarmEmail),
		})
	}
}

func (s *AlarmStack) newAlarm(a alarm) {
	dimensions := make([]any, 0, len(a.dimensions))
	for _, name := range sortedKeys(a.dimensions) {
		dimensions = append(dimensions, map[string]any{"name": name, "value": a.dimensions[name]})
	}
	props := &awscloudwatch.CfnAlarmProps{
		AlarmName: jsii.String(s.d.name(kebab(a.id))), AlarmDescription: jsii.String(a.description),
		Namespace: jsii.String(a.namespace), MetricName: jsii.String(a.metric), Dimensions: dimensions,
		ComparisonOperator: jsii.String("GreaterThanThreshold"), Threshold: jsii.Number(a.above),
		Period: jsii.Number(60), EvaluationPeriods: jsii.Number(a.minutes), DatapointsToAlarm: jsii.Number(a.minutes),
		TreatMissingData: jsii.String("notBreaching"), AlarmActions: &[]any{s.topic.Ref()}, OkActions: &[]any{s.topic.Ref()},
	}
	if strings.HasPrefix(a.statistic, "p") {
		props.ExtendedStatistic = jsii.String(a.statistic)
	} else {
		props.Statistic = jsii.String(a.statistic)
	}
	awscloudwatch.NewCfnAlarm(s.Stack, jsii.String(a.id), props)
}

func (s *AlarmStack) queueAlarms() []alarm {
	queues := []string{events}
	if s.d.HasSealed(s.r) {
		queues = append(queues, sealed)
	}
	var all []alarm
	for _, q := range queues {
		all = append(
			all,
			alarm{
				pascal(q) + "Dead", "Dead letters: events of other regions that this one could not apply. Runbook: sync.", "AWS/SQS",
				"ApproximateNumberOfMessagesVisible", map[string]string{"QueueName": s.d.queueName(q + "-dead")}, "Maximum", 0, 1,
			},
			alarm{
				pascal(q) + "Old", "The oldest message has waited five minutes: this region falls behind.", "AWS/SQS",
				"ApproximateAgeOfOldestMessage", map[string]string{"QueueName": s.d.queueName(q)}, "Maximum", 300, 3,
			},
		)
	}
	return append(all, alarm{
		"RelayFailures", "The relay gave up positions of the change stream; sweep sends what lies there.", "AWS/SQS",
		"ApproximateNumberOfMessagesVisible", map[string]string{"QueueName": s.d.name("relay-failures")}, "Maximum", 0, 1,
	})
}

func (s *AlarmStack) tableAlarms() []alarm {
	tables := []access.Store{access.Directory, access.RegionalTable, access.KeysTable, access.ReplicaTable, access.SettingsTable}
	all := make([]alarm, 0, 2*len(tables))
	for _, t := range tables {
		for _, kind := range []string{"Read", "Write"} {
			all = append(all, alarm{
				pascal(string(t)) + kind + "Throttled", "DynamoDB refuses " + strings.ToLower(kind) + "s of the table " + string(t) + ".", "AWS/DynamoDB",
				kind + "ThrottleEvents", map[string]string{"TableName": s.d.name(string(t))}, "Sum", 0, 5,
			})
		}
	}
	return all
}

func (s *AlarmStack) functionAlarms() []alarm {
	functions := s.d.functions(s.r)
	all := make([]alarm, 0, 1+3*len(functions))
	all = append(all, alarm{
		"StreamOld", "The relay is a minute behind the change stream.", "AWS/Lambda", "IteratorAge",
		map[string]string{"FunctionName": s.d.name(string(access.Relay))}, "Maximum", 60_000, 5,
	})
	for _, f := range functions {
		name, dimensions := pascal(string(f.process)), map[string]string{"FunctionName": s.d.name(string(f.process))}
		all = append(
			all,
			alarm{name + "Errors", "Calls of " + string(f.process) + " fail.", "AWS/Lambda", "Errors", dimensions, "Sum", 0, 3},
			alarm{name + "Throttled", "Lambda refuses calls of " + string(f.process) + ".", "AWS/Lambda", "Throttles", dimensions, "Sum", 0, 5},
			alarm{
				name + "Slow", "Calls of " + string(f.process) + " come near their time-out.", "AWS/Lambda", "Duration", dimensions, "p99",
				800 * float64(f.seconds), 5,
			},
		)
	}
	return all
}

// entryAlarms are of what callers meet.
func (s *AlarmStack) entryAlarms(compute *ComputeStack) []alarm {
	api := map[string]string{"ApiId": *compute.API.Ref()}
	balancer := map[string]string{"LoadBalancer": *compute.LoadBalancer.AttrLoadBalancerFullName()}
	return []alarm{
		{"ApiFailing", "The HTTP API answers 5xx.", "AWS/ApiGateway", "5xx", api, "Sum", 5, 3},
		{"ApiSlow", "The HTTP API takes more than 2 s for one call in a hundred.", "AWS/ApiGateway", "Latency", api, "p99", 2000, 5},
		{"ServicesFailing", "Tasks answer 5xx.", "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", balancer, "Sum", 5, 3},
		{"BalancerFailing", "The load balancer finds no task that answers.", "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", balancer, "Sum", 5, 3},
	}
}

// replicationAlarms are of the directory on its way to each other region.
func (s *AlarmStack) replicationAlarms() []alarm {
	others := s.d.Others(s.r)
	all := make([]alarm, 0, len(others))
	for _, other := range others {
		all = append(all, alarm{
			"DirectoryLate" + pascal(other.ID), "What this region writes to the directory reaches " + other.ID + " late.", "AWS/DynamoDB",
			"ReplicationLatency", map[string]string{"TableName": s.d.name("directory"), "ReceivingRegion": other.ID}, "Average", 5000, 5,
		})
	}
	return all
}

// newKeyAlarms tells of a key that is switched off, changed or deleted, and of calls of KMS that come near the account's quota, beyond which
// KMS refuses. EventBridge needs a trail of CloudTrail in the account.
func (s *AlarmStack) newKeyAlarms(data *DataStack) {
	awsevents.NewCfnRule(s.Stack, jsii.String("KeysChanged"), &awsevents.CfnRuleProps{
		Name: jsii.String(s.d.name("keys-changed")), Description: jsii.String("A key of the region was switched off, changed or deleted."),
		State: jsii.String("ENABLED"),
		EventPattern: map[string]any{
			"source": []string{"aws.kms"}, "detail-type": []string{"AWS API Call via CloudTrail"},
			"detail": map[string]any{
				"eventSource": []string{"kms.amazonaws.com"},
				"eventName":   []string{"DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion", "UpdateAlias"},
				"resources":   map[string]any{"ARN": []*string{data.Storage.AttrArn(), data.Tenants.AttrArn()}},
			},
		},
		Targets: []any{map[string]any{"id": "people", "arn": s.topic.Ref()}},
	})
	awscloudwatch.NewCfnAlarm(s.Stack, jsii.String("KeysBusy"), &awscloudwatch.CfnAlarmProps{
		AlarmName: jsii.String(s.d.name("keys-busy")), AlarmDescription: jsii.String("Calls of KMS use four fifths of the account's quota."),
		ComparisonOperator: jsii.String("GreaterThanThreshold"), Threshold: jsii.Number(80), EvaluationPeriods: jsii.Number(3),
		TreatMissingData: jsii.String("notBreaching"), AlarmActions: &[]any{s.topic.Ref()}, OkActions: &[]any{s.topic.Ref()},
		Metrics: []any{
			map[string]any{"id": "share", "expression": "(calls/PERIOD(calls))/SERVICE_QUOTA(calls)*100", "returnData": true},
			map[string]any{"id": "calls", "returnData": false, "metricStat": map[string]any{
				"period": 60, "stat": "Sum", "metric": map[string]any{
					"namespace": "AWS/Usage", "metricName": "CallCount", "dimensions": []any{
						map[string]any{"name": "Class", "value": "None"}, map[string]any{"name": "Resource", "value": "CryptographicOperationsSymmetric"},
						map[string]any{"name": "Service", "value": "KMS"}, map[string]any{"name": "Type", "value": "API"},
					},
				},
			}},
		},
	})
}
