// The workbook. Each query is a file of infra/portal/kql; docs/monitoring.md says what each chart means.
param location string
param tags object = {}
param displayName string

@description('Resource id of the Log Analytics workspace that Application Insights writes to.')
param workspaceId string

@description('What the cost table begins with, per node and hour; whoever reads it can put in another price.')
param pricePerNodeHour string = '1.00'

var charts = [
  {
    name: 'searches-by-status'
    title: 'Searches that ended, by status'
    query: loadTextContent('../portal/kql/searches_by_status.kql')
    visualization: 'barchart'
  }
  {
    name: 'searches-by-phase'
    title: 'Searches, by the phases that they entered'
    query: loadTextContent('../portal/kql/searches_by_phase.kql')
    visualization: 'areachart'
  }
  {
    name: 'failures'
    title: 'Failures, by reason'
    query: loadTextContent('../portal/kql/failures.kql')
    visualization: 'table'
  }
  {
    name: 'flip-latency'
    title: 'From the end of the last Job to completed, seconds'
    query: loadTextContent('../portal/kql/flip_latency.kql')
    visualization: 'linechart'
  }
  {
    name: 'step-seconds'
    title: 'Time per step, seconds'
    query: loadTextContent('../portal/kql/step_seconds.kql')
    visualization: 'table'
  }
  {
    name: 'warm-state'
    title: 'Databases in memory'
    query: loadTextContent('../portal/kql/warm_state.kql')
    visualization: 'table'
  }
  {
    name: 'warm-incidents'
    title: 'Incidents of warmups'
    query: loadTextContent('../portal/kql/warm_incidents.kql')
    visualization: 'table'
  }
  {
    name: 'timers'
    title: 'Last runs of the timers'
    query: loadTextContent('../portal/kql/timers.kql')
    visualization: 'table'
  }
  {
    name: 'kubernetes-calls'
    title: 'Kubernetes and storage calls, looks taken and throttled'
    query: loadTextContent('../portal/kql/kubernetes_calls.kql')
    visualization: 'linechart'
  }
  {
    name: 'kubernetes-retries'
    title: 'Kubernetes calls tried again, by reason'
    query: loadTextContent('../portal/kql/kubernetes_retries.kql')
    visualization: 'barchart'
  }
  {
    name: 'cost'
    title: 'Node hours and cost'
    query: loadTextContent('../portal/kql/cost.kql')
    visualization: 'table'
  }
]

var parameters = {
  type: 9
  name: 'parameters'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    parameters: [
      {
        id: guid('elb-workbook', 'TimeRange')
        version: 'KqlParameterItem/1.0'
        name: 'TimeRange'
        label: 'Time range'
        type: 4
        isRequired: true
        value: { durationMs: 86400000 }
        typeSettings: {
          selectableValues: [
            { durationMs: 3600000 }
            { durationMs: 14400000 }
            { durationMs: 86400000 }
            { durationMs: 604800000 }
            { durationMs: 2592000000 }
          ]
          allowCustom: true
        }
      }
      {
        id: guid('elb-workbook', 'PricePerNodeHour')
        version: 'KqlParameterItem/1.0'
        name: 'PricePerNodeHour'
        label: 'Price of a node per hour'
        type: 1
        isRequired: true
        value: pricePerNodeHour
      }
    ]
  }
}

var items = map(charts, chart => {
  type: 3
  name: chart.name
  content: {
    version: 'KqlItem/1.0'
    title: chart.title
    query: chart.query
    size: 0
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    crossComponentResources: [workspaceId]
    timeContextFromParameter: 'TimeRange'
    visualization: chart.visualization
  }
})

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'elb-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: workspaceId
    version: 'Notebook/1.0'
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat([parameters], items)
      fallbackResourceIds: [workspaceId]
    })
  }
}

output workbookId string = workbook.id
