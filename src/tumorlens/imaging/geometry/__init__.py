"""Where slices and voxels lie: order, orientation, spacing, planes."""
