// What the nodes may do on the data account, and that the app may give them that again and nothing else.
param accountName string
param nodesPrincipalId string
param appPrincipalId string

var roles = loadJsonContent('../roles.json')

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource databases 'containers' existing = {
      name: 'blast-db'
    }

    resource results 'containers' existing = {
      name: 'results'
    }
  }
}

resource nodesRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::databases.id, nodesPrincipalId, roles.blobDataReader)
  scope: account::blobs::databases
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataReader)
    principalId: nodesPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource nodesWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::results.id, nodesPrincipalId, roles.blobDataContributor)
  scope: account::blobs::results
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobDataContributor)
    principalId: nodesPrincipalId
    principalType: 'ServicePrincipal'
  }
}

var written = '@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${roles.blobDataReader}, ${roles.blobDataContributor}}'
var forNodes = '@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidEquals {${nodesPrincipalId}}'

resource appAssigns 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, appPrincipalId, roles.rbacAdministrator)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.rbacAdministrator)
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/write\'})) OR (${written} AND ${forNodes})) AND (!(ActionMatches{\'Microsoft.Authorization/roleAssignments/delete\'}))'
  }
}
