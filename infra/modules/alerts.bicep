// Alert rules over the workspace. Each query is a file of infra/portal/kql; docs/monitoring.md says what each alert means.
param location string
param tags object = {}

@description('Begins the name of every rule.')
param prefix string

@description('Resource id of the Log Analytics workspace that Application Insights writes to.')
param workspaceId string

@description('Action groups that are told, besides the one made for alertEmail.')
param actionGroupIds array = []

@description('Where alerts are mailed to; empty: they are shown in the portal only.')
param alertEmail string = ''

param enabled bool = true

var rules = [
  {
    name: 'orchestration-failed'
    description: 'An orchestration failed, or the one of a search had to be replaced or given up.'
    query: loadTextContent('../portal/kql/alert_orchestration_failed.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT10M'
  }
  {
    name: 'instance-pending'
    description: 'An orchestration has waited for more than 10 minutes to be taken up.'
    query: loadTextContent('../portal/kql/alert_instance_pending.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT10M'
  }
  {
    name: 'monitor-stalled'
    description: 'The reconcile had to wake a search whose monitor should have acted.'
    query: loadTextContent('../portal/kql/alert_monitor_stalled.kql')
    severity: 2
    frequency: 'PT5M'
    window: 'PT10M'
  }
  {
    name: 'exit-marker-missing'
    description: 'The log of a submit helper ended without its exit marker.'
    query: loadTextContent('../portal/kql/alert_exit_marker_missing.kql')
    severity: 2
    frequency: 'PT5M'
    window: 'PT10M'
  }
  {
    name: 'timer-missed'
    description: 'A timer has missed its time twice.'
    query: loadTextContent('../portal/kql/alert_timer_missed.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'P2D'
  }
  {
    name: 'server-errors'
    description: 'More than 5 % of the requests were answered with 5xx.'
    query: loadTextContent('../portal/kql/alert_server_errors.kql')
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'cluster-idle'
    description: 'A cluster has run for an hour with nothing to do.'
    query: loadTextContent('../portal/kql/alert_cluster_idle.kql')
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${prefix}-alerts'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'elb-alerts'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${prefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: '${prefix}: ${rule.name}'
      description: rule.description
      enabled: enabled
      severity: rule.severity
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      scopes: [workspaceId]
      autoMitigate: true
      // The tables of a workspace that has never had telemetry do not exist yet, and the query names them.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: concat(actionGroupIds, empty(alertEmail) ? [] : [mail.id])
      }
    }
  }
]

output alertRuleIds array = [for (rule, index) in rules: alerts[index].id]
output actionGroupId string = empty(alertEmail) ? '' : mail.id
