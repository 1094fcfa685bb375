package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	names "github.com/domicile-api/domicile/internal/deployment"
	"github.com/domicile-api/domicile/internal/lambdahost"
	"github.com/domicile-api/domicile/internal/topology"
)

// region is what runs of one region.
type region struct {
	*deployment

	index topology.Index
	id    string
}

// servicesURL is where the region's services listen.
func (r *region) servicesURL() (*url.URL, error) {
	u, err := url.Parse(r.topology.Services(r.index))
	if err != nil || u.Port() == "" || !r.topology.ServicesApart(r.index) {
		return nil, fmt.Errorf("the topology gives %s no services_endpoint with a port", r.id)
	}
	return u, nil
}

// startServices starts the process of the region's services, as its task on ECS is started.
func (r *region) startServices(ctx context.Context) error {
	services, err := r.servicesURL()
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(services.Port())
	if err != nil {
		return fmt.Errorf("reading the port of the services: %w", err)
	}
	const operations = 50 // The operations ports of the other regions lie so far above their services'.
	args := []string{
		"serve", "--backend", "aws", "--role", "services", "--region", r.id, "--topology", r.cfg.topology, "--deployment", r.cfg.deployment,
		"--data", r.cfg.data, "--port", services.Port(), "--log-format", "json",
	}
	if r.index == r.topology.Control() {
		args = append(args, "--demo", "--operations-port", strconv.Itoa(r.operationsPort()))
	} else {
		args = append(args, "--operations-port", strconv.Itoa(port+operations))
	}
	log, err := r.log("services-" + r.id)
	if err != nil {
		return err
	}
	binary := filepath.Join(r.cfg.bin, "domicile")
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, args...) //nolint:gosec // the binary that was built for this
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), "AWS_REGION="+r.id)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	r.processes = append(r.processes, cmd)
	return nil
}

// startFunctions starts the region's functions with what feeds them, and returns what answers at its port.
func (r *region) startFunctions(ctx context.Context) (http.Handler, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(r.id))
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	called, err := names.New(r.cfg.deployment)
	if err != nil {
		return nil, err
	}
	if err := r.startRelay(ctx, cfg, called); err != nil {
		return nil, err
	}
	if err := r.startApply(ctx, cfg, called); err != nil {
		return nil, err
	}
	if err := r.startSweep(ctx); err != nil {
		return nil, err
	}
	edge, err := r.function("edge", "edge", 8)
	if err != nil {
		return nil, err
	}
	gateway, err := lambdahost.NewGateway(lambdahost.GatewayConfig{Function: edge})
	if err != nil {
		return nil, fmt.Errorf("making the HTTP API: %w", err)
	}
	services, err := r.servicesURL()
	if err != nil {
		return nil, err
	}
	return newFront(gateway, services), nil
}

// functionTimeout is what the infrastructure gives the functions, but for edge, which answers within what a gateway waits.
const functionTimeout = time.Minute

// function makes a function of a binary.
func (r *region) function(name, binary string, concurrency int) (*lambdahost.Function, error) {
	log, err := r.log(name + "-" + r.id)
	if err != nil {
		return nil, err
	}
	env := map[string]string{"DOMICILE_DEPLOYMENT": r.cfg.deployment, "DOMICILE_TOPOLOGY": r.packed()}
	for _, inherited := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if value, ok := os.LookupEnv(inherited); ok {
			env[inherited] = value
		}
	}
	f, err := lambdahost.NewFunction(lambdahost.Config{
		Name: r.cfg.deployment + "-" + name, Binary: filepath.Join(r.cfg.bin, "functions", binary, "bootstrap"), Env: env, Region: r.id, MemoryMB: 512,
		Timeout: functionTimeout, MaxConcurrency: concurrency, Logs: log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the function %s: %w", name, err)
	}
	r.functions = append(r.functions, f)
	return f, nil
}

// startRelay feeds the function relay with the stream of the regional table.
func (r *region) startRelay(ctx context.Context, cfg aws.Config, called names.Names) error {
	f, err := r.function("relay", "relay", 2)
	if err != nil {
		return err
	}
	name := called.Table("regional")
	table, err := dynamodb.NewFromConfig(cfg).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return fmt.Errorf("finding the stream of %s: %w", name, err)
	}
	source, err := lambdahost.NewStreamSource(lambdahost.StreamConfig{
		Client: dynamodbstreams.NewFromConfig(cfg), Function: f, StreamARN: aws.ToString(table.Table.LatestStreamArn),
		ReportBatchItemFailures: true, BisectOnError: true,
	})
	if err != nil {
		return fmt.Errorf("feeding the relay: %w", err)
	}
	r.loop(ctx, "the stream of "+r.id, source.Run)
	return nil
}

// startApply feeds the functions that apply with the region's queues, as many as it has.
func (r *region) startApply(ctx context.Context, cfg aws.Config, called names.Names) error {
	client := sqs.NewFromConfig(cfg)
	for _, queue := range queuesOf(r.topology, r.index) {
		f, err := r.function("apply-"+queue, "apply", 4)
		if err != nil {
			return err
		}
		name := called.Queue(queue)
		found, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			return fmt.Errorf("finding the queue %s: %w", name, err)
		}
		attributes, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: found.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
		})
		if err != nil {
			return fmt.Errorf("reading the queue %s: %w", name, err)
		}
		source, err := lambdahost.NewSQSSource(lambdahost.SQSConfig{
			Client: client, Function: f, QueueURL: aws.ToString(found.QueueUrl),
			QueueARN: attributes.Attributes[string(types.QueueAttributeNameQueueArn)], MaxConcurrency: 4, ReportBatchItemFailures: true,
		})
		if err != nil {
			return fmt.Errorf("feeding what applies: %w", err)
		}
		r.loop(ctx, "the queue "+queue+" of "+r.id, source.Run)
	}
	return nil
}

// startSweep calls the function sweep again and again.
func (r *region) startSweep(ctx context.Context) error {
	f, err := r.function("sweep", "sweep", 1)
	if err != nil {
		return err
	}
	schedule, err := lambdahost.NewSchedule(lambdahost.ScheduleConfig{
		Function: f, Rule: r.cfg.deployment + "-sweep", Region: r.id, Interval: r.cfg.sweep,
	})
	if err != nil {
		return fmt.Errorf("scheduling the sweep: %w", err)
	}
	r.loop(ctx, "the schedule of "+r.id, schedule.Run)
	return nil
}

// queuesOf are the queues that a region has: one for sealed entities only where another region of its jurisdiction may send any.
func queuesOf(t *topology.Topology, region topology.Index) []string {
	for _, other := range t.Regions() {
		if other != region && t.SameJurisdiction(region, other) {
			return []string{"events", "sealed"}
		}
	}
	return []string{"events"}
}
