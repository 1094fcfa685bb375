package domicile

import (
	"maps"
	"slices"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// task is what the services on Fargate differ in.
type task struct {
	process access.Process
	// role is what domicile serve is told to be.
	role        string
	cpu, memory int
	group       awsec2.CfnSecurityGroup
	// ports has the target groups by the container's port that they call.
	ports []port
	rules []awscdk.CfnResource
}

type port struct {
	number int
	group  awselasticloadbalancingv2.CfnTargetGroup
}

// How many tasks of a kind there are: at least one a zone.
const (
	leastTasks = zones
	mostTasks  = 20
	// busy is how much of its processors a service may use, in percent, before there are more tasks.
	busy = 60
)

// newTasks makes the cluster of a region with its two services.
func (s *ComputeStack) newTasks(n *network, t *targets) {
	cluster := awsecs.NewCfnCluster(s.Stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		ClusterName:     jsii.String(s.d.cfg.Name),
		ClusterSettings: []any{map[string]any{"name": "containerInsights", "value": "enabled"}},
	})
	agent := newRole(s.Stack, places{s.d, s.Region, s.data, ""}, access.Agent)
	calls, operations := s.Region.Port, s.Region.Port+operationsOffset
	services := []port{{calls, t.services}, {calls, t.servicesGRPC}}
	if t.operations != nil {
		services = append(services, port{operations, t.operations})
	}
	for _, kind := range []task{
		{access.Services, "services", 1024, 2048, n.services, services, t.servicesRules},
		{access.EdgeTask, "edge", 512, 1024, n.edge, []port{{calls, t.edge}, {calls, t.edgeGRPC}, {operations, t.edgeReady}}, t.edgeRules},
	} {
		definition := s.newTaskDefinition(kind, agent)
		s.newService(kind, cluster, definition, n)
	}
}

func (s *ComputeStack) newTaskDefinition(kind task, agent awsiam.CfnRole) awsecs.CfnTaskDefinition {
	group := s.newLogGroup(kind.process)
	role := newRole(s.Stack, places{s.d, s.Region, s.data, ""}, kind.process)
	architecture := map[string]string{"arm64": "ARM64", "x86_64": "X86_64"}[s.d.cfg.Architecture]
	definition := awsecs.NewCfnTaskDefinition(s.Stack, jsii.String(pascal(string(kind.process))+"Task"), &awsecs.CfnTaskDefinitionProps{
		Family: jsii.String(s.d.name(kind.role)), Cpu: jsii.String(strconv.Itoa(kind.cpu)), Memory: jsii.String(strconv.Itoa(kind.memory)),
		NetworkMode: jsii.String("awsvpc"), RequiresCompatibilities: texts("FARGATE"),
		RuntimePlatform:  map[string]any{"cpuArchitecture": architecture, "operatingSystemFamily": "LINUX"},
		ExecutionRoleArn: agent.AttrArn(), TaskRoleArn: role.AttrArn(),
		// What a process writes down for itself; it ends with the task.
		Volumes:              []any{map[string]any{"name": "scratch"}},
		ContainerDefinitions: []any{s.container(kind, *group.Ref())},
	})
	classify(definition, highest(kind.process))
	return definition
}

func (s *ComputeStack) container(kind task, logGroup string) map[string]any {
	variables := s.environment()
	variables["AWS_REGION"] = s.Region.ID
	environment := make([]any, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment = append(environment, map[string]any{"name": name, "value": variables[name]})
	}
	return map[string]any{
		"name": kind.role, "image": s.d.image(s.Region), "essential": true,
		"command": []string{
			"serve", "--backend", "aws", "--role", kind.role, "--region", s.Region.ID, "--host", "0.0.0.0", "--data", "/tmp",
			"--log-format", "json", "--log-level", "info",
		},
		"environment":            environment,
		"readonlyRootFilesystem": true,
		"user":                   "65532:65532",
		"linuxParameters":        map[string]any{"capabilities": map[string]any{"drop": []string{"ALL"}}, "initProcessEnabled": true},
		"mountPoints":            []any{map[string]any{"sourceVolume": "scratch", "containerPath": "/tmp", "readOnly": false}},
		"portMappings": []any{
			map[string]any{"containerPort": s.Region.Port, "protocol": "tcp"},
			map[string]any{"containerPort": s.Region.Port + operationsOffset, "protocol": "tcp"},
		},
		"stopTimeout": 90, // More than the load balancer takes to let go.
		"logConfiguration": map[string]any{"logDriver": "awslogs", "options": map[string]any{
			"awslogs-group": logGroup, "awslogs-region": s.Region.ID, "awslogs-stream-prefix": kind.role,
		}},
	}
}

func (s *ComputeStack) newService(kind task, cluster awsecs.CfnCluster, definition awsecs.CfnTaskDefinition, n *network) {
	groups := make([]any, len(kind.ports))
	for i, p := range kind.ports {
		groups[i] = map[string]any{"containerName": kind.role, "containerPort": p.number, "targetGroupArn": p.group.Ref()}
	}
	id := pascal(string(kind.process))
	service := awsecs.NewCfnService(s.Stack, jsii.String(id+"Service"), &awsecs.CfnServiceProps{
		ServiceName: jsii.String(kind.role), Cluster: cluster.Ref(), TaskDefinition: definition.Ref(), LaunchType: jsii.String("FARGATE"),
		PropagateTags: jsii.String("TASK_DEFINITION"), AvailabilityZoneRebalancing: jsii.String("ENABLED"),
		HealthCheckGracePeriodSeconds: jsii.Number(60), LoadBalancers: groups,
		DeploymentConfiguration: map[string]any{
			"minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": map[string]any{"enable": true, "rollback": true},
		},
		NetworkConfiguration: map[string]any{"awsvpcConfiguration": map[string]any{
			"assignPublicIp": "DISABLED", "subnets": n.private, "securityGroups": []any{kind.group.AttrGroupId()},
		}},
	})
	// A target group that no listener has yet takes no targets.
	for _, rule := range kind.rules {
		service.AddResourceDependency(rule, nil)
	}
	s.newScaling(id, cluster, service)
}

// newScaling lets a service grow with its load. The service itself says no number of tasks, so that a deployment takes none away.
func (s *ComputeStack) newScaling(id string, cluster awsecs.CfnCluster, service awsecs.CfnService) {
	target := awsapplicationautoscaling.NewCfnScalableTarget(
		s.Stack, jsii.String(id+"Scaling"),
		&awsapplicationautoscaling.CfnScalableTargetProps{
			ServiceNamespace: jsii.String("ecs"), ScalableDimension: jsii.String("ecs:service:DesiredCount"),
			ResourceId:  jsii.String("service/" + *cluster.Ref() + "/" + *service.AttrName()),
			MinCapacity: jsii.Number(leastTasks), MaxCapacity: jsii.Number(mostTasks),
		},
	)
	awsapplicationautoscaling.NewCfnScalingPolicy(
		s.Stack, jsii.String(id+"ScalingPolicy"),
		&awsapplicationautoscaling.CfnScalingPolicyProps{
			PolicyName: jsii.String("processors"), PolicyType: jsii.String("TargetTrackingScaling"), ScalingTargetId: target.Ref(),
			TargetTrackingScalingPolicyConfiguration: map[string]any{
				"targetValue": busy, "scaleInCooldown": 300, "scaleOutCooldown": 30,
				"predefinedMetricSpecification": map[string]any{"predefinedMetricType": "ECSServiceAverageCPUUtilization"},
			},
		},
	)
}
