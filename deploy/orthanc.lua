-- Every MR image that Orthanc receives goes to the node. What the node sends back is none (SR, OT).
function OnStoredInstance(instanceId, tags, metadata, origin)
  if tags['Modality'] == 'MR' then
    SendToModality(instanceId, 'tumorlens')
  end
end
