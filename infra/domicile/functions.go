package domicile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// applySeconds is how long a call of an apply function may take.
const applySeconds = 60

// function is what the functions differ in.
type function struct {
	process access.Process
	// build is the folder of its bootstrap; both apply functions are one program.
	build   string
	memory  int
	seconds int
	// concurrency is how many run at once at most, reserved from the account's own limit.
	concurrency int
}

// functions returns the functions of a region. A region without a sealed queue has nothing to apply from it.
func (d *Deployment) functions(r Region) []function {
	all := []function{
		{access.Edge, "edge", 512, 29, 100}, // An HTTP API waits 30 s.
		{access.Relay, "relay", 512, 60, 20},
		{access.ApplyEvents, "apply", 512, applySeconds, 20},
		{access.Sweep, "sweep", 512, 55, 1}, // One at a time: the next minute's does what this one leaves.
	}
	if d.HasSealed(r) {
		all = append(all, function{access.ApplySealed, "apply", 512, applySeconds, 20})
	}
	return all
}

// newFunctions makes the functions of a region with their roles, logs and sources.
func (s *ComputeStack) newFunctions() error {
	s.failures = newFailures(s.Stack, s.d)
	at := places{s.d, s.Region, s.data, s.d.failuresARN(s.Region)}
	for _, f := range s.d.functions(s.Region) {
		group := s.newLogGroup(f.process)
		role := newRole(s.Stack, at, f.process)
		made, err := s.newFunction(f, role, group)
		if err != nil {
			return err
		}
		s.Functions[f.process] = made
	}
	s.followStream()
	s.receive(access.ApplyEvents, events)
	if s.d.HasSealed(s.Region) {
		s.receive(access.ApplySealed, sealed)
	}
	s.schedule()
	return nil
}

func (s *ComputeStack) newLogGroup(p access.Process) awslogs.CfnLogGroup {
	return s.logGroupNamed(pascal(string(p))+"Logs", s.d.logGroup(p))
}

func (s *ComputeStack) logGroupNamed(id, name string) awslogs.CfnLogGroup {
	group := awslogs.NewCfnLogGroup(s.Stack, jsii.String(id), &awslogs.CfnLogGroupProps{
		LogGroupName: jsii.String(name), RetentionInDays: jsii.Number(s.d.cfg.LogDays), KmsKeyId: s.data.Storage.AttrArn(),
	})
	s.d.keep(group)
	return group
}

func (s *ComputeStack) newFunction(f function, role awsiam.CfnRole, group awslogs.CfnLogGroup) (awslambda.CfnFunction, error) {
	code, err := s.stage(f)
	if err != nil {
		return nil, err
	}
	made := awslambda.NewCfnFunction(s.Stack, jsii.String(pascal(string(f.process))), &awslambda.CfnFunctionProps{
		FunctionName:                 jsii.String(s.d.name(string(f.process))),
		Description:                  jsii.String("Process " + string(f.process) + " of " + s.Region.ID + "."),
		Runtime:                      jsii.String("provided.al2023"),
		Handler:                      jsii.String("bootstrap"),
		Architectures:                texts(s.d.cfg.Architecture),
		Code:                         map[string]any{"s3Bucket": code.S3BucketName(), "s3Key": code.S3ObjectKey()},
		Role:                         role.AttrArn(),
		MemorySize:                   jsii.Number(f.memory),
		Timeout:                      jsii.Number(f.seconds),
		ReservedConcurrentExecutions: jsii.Number(f.concurrency),
		LoggingConfig:                map[string]any{"logGroup": group.Ref(), "logFormat": "JSON"},
		Environment:                  map[string]any{"variables": s.functionEnvironment()},
	})
	classify(made, highest(f.process))
	exempt(
		made,
		exemption{"CKV_AWS_117", "it calls DynamoDB, SQS, KMS and, to forward, other regions: all over TLS with IAM or a signature, none in a " +
			"network of ours, which would add an address translator between and a second to a cold start"},
		exemption{"CKV_AWS_116", "no function is called asynchronously but sweep, and what one sweep leaves the next does; the relay's stream and " +
			"the queues have dead letters of their own"},
		exemption{"CKV_AWS_173", "the variables are names of the deployment, none a secret"},
	)
	return made, nil
}

// functionEnvironment are the variables of all functions. Lambda itself sets AWS_REGION.
func (s *ComputeStack) functionEnvironment() map[string]any {
	variables := s.environment()
	variables["DOMICILE_TOPOLOGY"] = "/var/task/topology.bin"
	return variables
}

// environment are the variables of all processes.
func (s *ComputeStack) environment() map[string]any {
	variables := map[string]any{
		"DOMICILE_DEPLOYMENT": s.d.cfg.Name, "DOMICILE_SNAPSHOTS": s.d.bucketName(s.Region),
		// What clients call the whole, and a region where they speak gRPC: no tenant's names.
		"DOMICILE_OWN_HOSTS": strings.Join([]string{
			s.d.cfg.Domain.Name, s.d.GlobalGRPCName(), s.d.GRPCName(s.Region), "operations." + s.d.RegionName(s.Region),
		}, ","),
	}
	if s.d.ManyAccounts() {
		accounts := make([]string, 0, len(s.d.regions))
		for _, r := range s.d.regions {
			accounts = append(accounts, r.ID+"="+r.Account)
		}
		variables["DOMICILE_ACCOUNTS"] = strings.Join(accounts, ",")
	}
	return variables
}

// stage makes the package of a function: its program with the topology beside it, checked and in the form that functions read.
func (s *ComputeStack) stage(f function) (awss3assets.Asset, error) {
	from := filepath.Join(s.d.cfg.Functions, f.build, "bootstrap")
	program, err := os.ReadFile(from) //nolint:gosec // the deployer names the folder
	if err != nil {
		return nil, fmt.Errorf("the program of the function %s: %w", f.process, err)
	}
	dir, err := os.MkdirTemp("", "domicile-function")
	if err != nil {
		return nil, fmt.Errorf("a folder for the function %s: %w", f.process, err)
	}
	// CDK has copied it by then; what is left of it lies in the system's own folder for such.
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), program, 0o755); err != nil { //nolint:gosec // Lambda runs it as another user
		return nil, fmt.Errorf("the package of the function %s: %w", f.process, err)
	}
	packed, err := s.d.packedTopology()
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(filepath.Join(dir, "topology.bin"), packed, 0o644) //nolint:gosec // as above, to read
	if err != nil {
		return nil, fmt.Errorf("the package of the function %s: %w", f.process, err)
	}
	id := jsii.String("Package" + pascal(string(f.process)))
	return awss3assets.NewAsset(s.Stack, id, &awss3assets.AssetProps{Path: jsii.String(dir)}), nil
}

// packedTopology is the topology as functions read it.
func (d *Deployment) packedTopology() ([]byte, error) {
	t, err := topologyfile.Parse("topology.yaml", d.cfg.Topology)
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", err)
	}
	packed, err := topology.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("packing the topology: %w", err)
	}
	return packed, nil
}

func (d *Deployment) failuresARN(r Region) string { return arn(r, "sqs", d.name("relay-failures")) }

// newFailures makes the queue of stream positions that the relay gave up. The sweep finds what lies there by itself; the queue is for people.
func newFailures(stack awscdk.Stack, d *Deployment) awssqs.CfnQueue {
	queue := awssqs.NewCfnQueue(stack, jsii.String("RelayFailures"), &awssqs.CfnQueueProps{
		QueueName:              jsii.String(d.name("relay-failures")),
		MessageRetentionPeriod: jsii.Number(retention),
		SqsManagedSseEnabled:   true,
	})
	exempt(queue, exemption{"CKV_AWS_27", "encrypted by SQS's own key: numbers of stream positions, no content"})
	return queue
}

// followStream calls the relay with the change stream of the regional table.
func (s *ComputeStack) followStream() {
	awslambda.NewCfnEventSourceMapping(s.Stack, jsii.String("FollowRegional"), &awslambda.CfnEventSourceMappingProps{
		FunctionName:     s.Functions[access.Relay].Ref(),
		EventSourceArn:   s.data.Regional.AttrStreamArn(),
		StartingPosition: jsii.String("TRIM_HORIZON"),
		BatchSize:        jsii.Number(100),
		// Records of one partition stay in order.
		ParallelizationFactor:      jsii.Number(4),
		BisectBatchOnFunctionError: true,
		MaximumRetryAttempts:       jsii.Number(10),
		// After an hour the shard goes on; the sweep sends what was left out.
		MaximumRecordAgeInSeconds: jsii.Number(3600),
		FunctionResponseTypes:     texts("ReportBatchItemFailures"),
		DestinationConfig:         map[string]any{"onFailure": map[string]any{"destination": s.failures.AttrArn()}},
	})
}

// receive calls an apply function with a queue's messages.
func (s *ComputeStack) receive(p access.Process, queue string) {
	awslambda.NewCfnEventSourceMapping(s.Stack, jsii.String("Receive"+pascal(queue)), &awslambda.CfnEventSourceMappingProps{
		FunctionName:          s.Functions[p].Ref(),
		EventSourceArn:        jsii.String(s.d.queueARN(s.Region, queue)),
		BatchSize:             jsii.Number(10),
		FunctionResponseTypes: texts("ReportBatchItemFailures"),
		// Fewer pollers than reserved runs, so that no message is counted as received by a run that Lambda refused.
		ScalingConfig: map[string]any{"maximumConcurrency": 18},
	})
}

// schedule calls sweep each minute.
func (s *ComputeStack) schedule() {
	sweep := s.Functions[access.Sweep]
	rule := awsevents.NewCfnRule(s.Stack, jsii.String("EachMinute"), &awsevents.CfnRuleProps{
		Name:               jsii.String(s.d.name("sweep")),
		Description:        jsii.String("Calls sweep each minute."),
		ScheduleExpression: jsii.String("rate(1 minute)"),
		State:              jsii.String("ENABLED"),
		Targets: []any{map[string]any{
			"id": "sweep", "arn": sweep.AttrArn(),
			"retryPolicy": map[string]any{"maximumEventAgeInSeconds": 60, "maximumRetryAttempts": 0},
		}},
	})
	awslambda.NewCfnPermission(s.Stack, jsii.String("AllowSchedule"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: sweep.Ref(), Principal: jsii.String("events.amazonaws.com"),
		SourceArn: rule.AttrArn(),
	})
}

// pascal turns a name of words with "-" between into a logical id.
func pascal(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
